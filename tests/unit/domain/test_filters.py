"""Filters as values."""

import pytest

from offload.domain.errors import InvalidOptions
from offload.domain.filters import ABORTABLE, RETRYABLE, Filter
from offload.domain.states import TERMINAL, Status


def test_a_filter_that_says_nothing_is_empty():
    """Anything said makes it one that is not."""
    assert Filter().is_empty
    assert not Filter(enqueued_after_ms=0).is_empty


@pytest.mark.parametrize("wrong", [{"error": "x"}, {"enqueued_after_ms": 5, "enqueued_before_ms": 5}])
def test_what_no_job_can_fit_is_refused(wrong):
    """An error that is no fingerprint, a window that ends before it begins."""
    with pytest.raises(InvalidOptions):
        Filter(**wrong)


def test_an_action_takes_the_statuses_that_it_is_for():
    """All of them, or the one that is named; another one is refused, with those that are possible."""
    assert Filter().among(RETRYABLE, "retried") == RETRYABLE
    assert Filter(status=Status.DEAD).among(RETRYABLE, "retried") == (Status.DEAD,)
    assert Filter().among(RETRYABLE, "retried", (Status.DEAD,)) == (Status.DEAD,)
    with pytest.raises(InvalidOptions, match="no succeeded job can be retried; only dead, aborted"):
        Filter(status=Status.SUCCEEDED).among(RETRYABLE, "retried")


def test_what_has_ended_is_not_aborted():
    """And all that has not can be."""
    assert set(ABORTABLE) == set(Status) - TERMINAL
