"""What is decided after an attempt: a value from values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload.domain.errors import ErrorInfo
from offload.domain.policy import (
    Abort,
    Backoff,
    Dead,
    Drop,
    Raised,
    Requeue,
    RetryAt,
    RetryPolicy,
    Returned,
    Stopped,
    Succeed,
    decide,
)

ERROR = ErrorInfo("ValueError", "no")
NOW = 1_700_000_000_000
THREE = RetryPolicy(max_tries=3, backoff=Backoff(base=2, factor=3, limit=10))


def decided(outcome, attempt=1, policy=THREE, jitter=0.5, deadline_ms=None):
    return decide(outcome, attempt, policy, now_ms=NOW, jitter=jitter, deadline_ms=deadline_ms)


def test_a_returned_value_succeeds():
    """What the function returned is stored, JSON and object alike."""
    assert decided(Returned(b"1", 1)) == Succeed(b"1", 1)


@pytest.mark.parametrize(
    ("why", "decision"), [("aborted", Abort()), ("interrupted", Requeue()), ("lease_lost", Drop())]
)
def test_a_stopped_attempt_is_no_failure(why, decision):
    """An abort ends the job, a stopping worker puts it back, a lost lease writes nothing."""
    assert decided(Stopped(why)) == decision


def test_a_failure_is_retried_after_a_share_of_the_backoff():
    """The due time is now plus jitter times the attempt's backoff."""
    first, second = decided(Raised(ERROR, again=True)), decided(Raised(ERROR, again=True), attempt=2)

    assert first == RetryAt(NOW + 1000, ERROR)
    assert second == RetryAt(NOW + 3000, ERROR)


@pytest.mark.parametrize("attempt", [3, 4])
def test_the_last_attempt_leaves_the_job_dead(attempt):
    """At max_tries, or past it, a failure is not tried again."""
    assert decided(Raised(ERROR, again=True), attempt=attempt) == Dead(ERROR)


def test_what_the_policy_does_not_allow_is_dead_at_once():
    """An exception that may not be tried again ends the job at its first attempt, and is kept as an object."""
    raised = ValueError("no")

    assert decided(Raised(ERROR, again=False, exception=raised)) == Dead(ERROR, raised)


def test_after_overrules_the_backoff():
    """Retry(after=...) says when, 0 included."""
    assert decided(Raised(ERROR, again=True, after=60)) == RetryAt(NOW + 60_000, ERROR)
    assert decided(Raised(ERROR, again=True, after=0)) == RetryAt(NOW, ERROR)


def test_a_retry_after_the_deadline_is_not_made():
    """A job that could only run again when its deadline has passed is dead with its last error."""
    assert decided(Raised(ERROR, again=True, after=5), deadline_ms=NOW + 5000) == Dead(ERROR)
    assert decided(Raised(ERROR, again=True, after=5), deadline_ms=NOW + 5001) == RetryAt(NOW + 5000, ERROR)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_backoff_stays_within_its_bounds(attempt, jitter):
    """Whatever the attempt, the wait is from 0 to the limit, and never over base * factor ** (attempt - 1)."""
    wait = Backoff(base=1, factor=2, limit=600).delay(attempt, jitter)

    assert 0 <= wait <= min(600, 2 ** min(attempt - 1, 20))


@given(st.integers(1, 30), st.floats(0, 1, exclude_max=True))
def test_a_backoff_never_shrinks_with_the_attempts(attempt, jitter):
    """At the same chance a later attempt waits at least as long."""
    backoff = Backoff()

    assert backoff.delay(attempt, jitter) <= backoff.delay(attempt + 1, jitter)


def test_retry_on_and_give_up_on_narrow_what_is_retried():
    """Only what retry_on names and give_up_on does not is tried again; SystemExit is no Exception."""
    policy = RetryPolicy(retry_on=(OSError,), give_up_on=(FileNotFoundError,))

    assert policy.allows(ConnectionError())
    assert not policy.allows(FileNotFoundError())
    assert not policy.allows(ValueError())
    assert not RetryPolicy().allows(SystemExit())
