"""Decides what follows the end of an attempt, as a value that is applied elsewhere.

`decide` turns the `Outcome` of an attempt into a `Decision`, which `offload.worker.attempt.finish` writes once.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from offload.domain.errors import ErrorInfo


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff in seconds: `min(limit, base * factor ** (attempt - 1))`, of which a random share is taken.

    Full jitter (a uniform share between 0 and the whole) spreads a herd of retries best:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    base: float = 1.0
    factor: float = 2.0
    limit: float = 600.0

    def delay(self, attempt: int, jitter: float) -> float:
        """Return the seconds to wait after failed attempt number `attempt`; `jitter` is a random number in [0, 1)."""
        try:
            whole = min(self.limit, self.base * self.factor ** (attempt - 1))
        except OverflowError:
            whole = self.limit
        return whole * jitter


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is retried; `retry_on` and `give_up_on` limit the exceptions after which it is."""

    max_tries: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def allows(self, error: BaseException) -> bool:
        """Return True for an exception after which the job is retried while it has attempts left."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)


# Outcomes of an attempt.


@dataclass(frozen=True, slots=True)
class Returned:
    """The job function returned; `result` is its value in JSON, `value` the object itself if available."""

    result: bytes
    value: Any = None


@dataclass(frozen=True, slots=True)
class Raised:
    """The job function raised; `again` is True if the policy allows a retry, `after` its delay in seconds.

    `exception` is the object itself if available: arq's pickled results carry it.
    """

    error: ErrorInfo
    again: bool
    after: float | None = None
    exception: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The attempt was stopped from outside: by a person, by a stopping worker, or because its lease was lost."""

    why: Literal["aborted", "interrupted", "lease_lost"]


Outcome = Returned | Raised | Stopped

# Decisions.


@dataclass(frozen=True, slots=True)
class Succeed:
    """Store the result for the result TTL."""

    result: bytes
    value: Any = None


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Requeue the job, due at `due_ms`; the attempt counts and its error is kept."""

    due_ms: int
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Dead:
    """Keep the job for a person to look at; `was_tried` is False if its attempts were used up before this claim."""

    error: ErrorInfo
    exception: BaseException | None = None
    was_tried: bool = True


@dataclass(frozen=True, slots=True)
class Abort:
    """A person stopped it."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Requeue the job at its old place, or due at `due_ms`; the attempt does not count. `explain` shows `why`."""

    due_ms: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """Write nothing: another worker may have the job."""


Decision = Succeed | RetryAt | Dead | Abort | Requeue | Drop


def decide(  # noqa: PLR0911 - one flat table reads best
    outcome: Outcome,
    attempt: int,
    policy: RetryPolicy,
    *,
    now_ms: int,
    jitter: float,
    deadline_ms: int | None = None,
) -> Decision:
    """Return the decision on an outcome; `attempt` counts from 1, `jitter` is a random number in [0, 1).

    Where a retry would start after the job's deadline, the job is dead at once, with its last error.
    """
    match outcome:
        case Returned(result, value):
            return Succeed(result, value)
        case Stopped("aborted"):
            return Abort()
        case Stopped("interrupted"):
            return Requeue()
        case Stopped():
            return Drop()
        case Raised(error, again, after, exception):
            if not again or attempt >= policy.max_tries:
                return Dead(error, exception)
            wait = policy.backoff.delay(attempt, jitter) if after is None else after
            due_ms = now_ms + round(wait * 1000)
            if deadline_ms is not None and due_ms >= deadline_ms:
                return Dead(error, exception)
            return RetryAt(due_ms, error)
