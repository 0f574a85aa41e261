"""The scripts on a real Redis, with a clock of the test's own."""

from typing import Any

import pytest

from support.clockwork import Clockwork


@pytest.fixture
def store(redis: Any) -> Clockwork:
    """Every script, at the time that the test says."""
    return Clockwork(redis)
