"""docs/problems.md against the table of problem types."""

from pathlib import Path

from offload.api.problems.types import KINDS
from offload.api.routes.pages import reference
from offload.domain import errors

PAGE = Path(__file__).parents[2] / "docs" / "problems.md"


def test_the_page_is_what_the_table_says():
    """docs/problems.md is what `python -m offload.api.routes.pages` prints."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_every_type_is_on_the_page():
    """Each problem type stands on the page once, with its status."""
    page = PAGE.read_text(encoding="utf-8")

    assert all(page.count(f"| `{kind.uri}` | {kind.status} |") == 1 for kind in KINDS.values())


def test_every_error_that_a_caller_can_mend_has_a_type():
    """An error of the tree that blames the call, the job's state or Redis is never answered as 500."""
    from offload.api.problems.responses import kind_of

    blamed = (errors.InvalidRequest, errors.NotFound, errors.Conflict, errors.Unavailable, errors.JobFailed)
    found = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, blamed)]
    without = [cls.__name__ for cls in found if kind_of(cls.__new__(cls)) is None and cls is not errors.InvalidRequest]

    assert without == []
