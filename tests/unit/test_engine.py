"""The values that the engine derives from what it is given."""

import pytest

from offload import job
from offload.domain.catalogue import of_functions
from offload.jobs.callback import callback
from offload.worker.engine import _longest_ms


@job(name="t.plain")
async def plain(ctx): ...


@job(name="t.slow", timeout=50)
async def slow(ctx): ...


@pytest.mark.parametrize(
    ("functions", "longest_ms"), [([plain], 20_000), ([plain, callback], 20_000), ([plain, slow, callback], 50_000)]
)
def test_the_delivery_of_callbacks_does_not_lengthen_the_limit_of_others(functions, longest_ms):
    """A job without a timeout of its own is renewed for OFFLOAD_JOB_TIMEOUT, or the longest of the user's functions."""
    assert _longest_ms(of_functions(functions), 20.0) == longest_ms
