"""What differs from arq on purpose is named, with its reason, where its users look."""

import re
from pathlib import Path

from contract.arq_suite import DIFFERENT

PAGE = Path(__file__).resolve().parents[2] / "docs" / "migrating-from-arq.md"


def test_the_guide_names_every_test_of_arqs_that_is_meant_to_fail():
    """The table and the script's list are the same, and shorter than ten."""
    named = set(re.findall(r"^\| `(test_\w+\.py::\w+)` \|", PAGE.read_text(), re.MULTILINE))

    assert named == set(DIFFERENT)
    assert len(named) < 10
