"""The tree of errors."""

import inspect
import re

import pytest

from offload.domain import errors
from offload.domain.errors import (
    ErrorInfo,
    FieldError,
    InvalidArguments,
    InvalidDefinition,
    JobFailed,
    Retry,
    UnknownFunction,
)


def drawn():
    """Read the tree in the module's docstring: each class with the one it hangs from."""
    parents, above = {}, []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^((?:[│ ]   )*)(?:[├└]── )?([A-Z]\w+)\b", line)
        if not match or (not above and match[2] != "OffloadError"):
            continue
        depth = 0 if match[2] == "OffloadError" else len(match[1]) // 4 + 1
        if depth == 0 and above:
            break
        above[depth:] = [match[2]]
        parents[match[2]] = above[depth - 1] if depth else "Exception"
        if match[2] == "ChildDied":
            break
    return parents


def test_the_tree_is_as_it_is_drawn():
    """The drawing at the top of the module names every error and what it hangs from."""
    classes = {
        name: one.__bases__[0].__name__
        for name, one in vars(errors).items()
        if inspect.isclass(one) and issubclass(one, Exception)
    }

    assert drawn() == classes


def test_every_error_says_what_it_is_for():
    """Each class of the tree has a docstring of its own."""
    assert all(vars(errors)[name].__doc__ for name in drawn())


def test_an_unknown_function_names_its_neighbour():
    """A typing error is answered with the nearest name, if one is near."""
    assert str(UnknownFunction("mail.sned", ["mail.send", "pdf.render"])).endswith("did you mean 'mail.send'?")
    assert "did you mean" not in str(UnknownFunction("zzz", ["mail.send"]))


def test_invalid_arguments_name_every_field():
    """The message has a path for each fault."""
    error = InvalidArguments("mail.send", [FieldError("to.0", "no address", "x"), FieldError("", "too many", "y")])

    assert str(error) == "invalid arguments for 'mail.send': to.0: no address; (arguments): too many"


def test_a_failed_job_carries_its_error():
    """Who waited for the job is told how it ended."""
    failed = JobFailed("j1", "dead", ErrorInfo("ValueError", "no"))

    assert str(failed) == "job j1 is dead: ValueError: no"
    assert str(JobFailed("j1", "aborted", None)) == "job j1 is aborted"


def test_a_retry_into_the_past_is_refused():
    """Retry(after=-1) is a mistake in the code of the job."""
    with pytest.raises(InvalidDefinition):
        Retry(after=-1)


def test_an_error_as_data_leaves_out_what_it_has_not():
    """Details are only there when there are some."""
    assert ErrorInfo("E", "m").as_dict() == {"type": "E", "message": "m", "traceback": ""}
    assert ErrorInfo("E", "m", "t", {"code": 550}).as_dict()["details"] == {"code": 550}
