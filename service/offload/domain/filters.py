"""Filters of jobs and stalls as values, the same for the API, the command line and the store."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from offload.domain.clock import rfc3339
from offload.domain.errors import InvalidOptions
from offload.domain.fingerprints import is_fingerprint
from offload.domain.states import Status

RETRYABLE = (Status.DEAD, Status.ABORTED, Status.RETRYING, Status.DEFERRED)
"""The states of jobs that a person can requeue or run now."""
ENDED_WITHOUT = (Status.DEAD, Status.ABORTED)
"""The states that a bulk retry covers when none is named; jobs that wait for their time keep it."""
ABORTABLE = (Status.DEFERRED, Status.RETRYING, Status.QUEUED, Status.RUNNING)
"""The states of jobs that can be aborted, in the order in which jobs move, so that none is missed meanwhile."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of jobs; all its fields must fit, None fits every job.

    `error` is a fingerprint: of any attempt that failed, not only of the last. The window holds jobs enqueued at
    `enqueued_after_ms` or later, and before `enqueued_before_ms`, so that adjoining windows share no job.
    Raises InvalidOptions for a filter that no job can fit.
    """

    status: Status | None = None
    function: str | None = None
    queue: str | None = None
    tag: str | None = None
    error: str | None = None
    enqueued_after_ms: int | None = None
    enqueued_before_ms: int | None = None

    def __post_init__(self) -> None:
        if self.error is not None and not is_fingerprint(self.error):
            msg = f"error: {self.error!r} is not a fingerprint: 12 hex digits, as in `error.fingerprint` of a job"
            raise InvalidOptions(msg)
        after, before = self.enqueued_after_ms, self.enqueued_before_ms
        if after is not None and before is not None and after >= before:
            msg = "enqueued_after is not before enqueued_before; no job can fit both"
            raise InvalidOptions(msg)

    @property
    def is_empty(self) -> bool:
        """True where every job fits."""
        return self == _EVERYTHING

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)

    def among(
        self, statuses: tuple[Status, ...], verb: str, unless_named: tuple[Status, ...] = ()
    ) -> tuple[Status, ...]:
        """Return the statuses that fit; raises InvalidOptions if the filter names another one.

        A filter without a status fits all of them, or those of `unless_named`.
        """
        if self.status is None:
            return unless_named or statuses
        if self.status not in statuses:
            msg = f"status: no {self.status} job can be {verb}; only {', '.join(statuses)} ones can"
            raise InvalidOptions(msg)
        return (self.status,)


_EVERYTHING = Filter()


IDS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """The outcome of a bulk call.

    `matched` counts the jobs that fit and allow the action: in a dry run all that could be counted, else those that
    were selected, at most the limit. `done` counts the jobs on which the action worked; the others had moved on. `ids`
    are the first hundred of those matched. With `has_more` there may be others: call again.
    """

    matched: int
    done: int
    is_dry_run: bool
    ids: tuple[str, ...]
    has_more: bool

    def plus(self, following: "BulkOutcome") -> "BulkOutcome":
        """Return the outcome of two calls in a row."""
        matched, done = self.matched + following.matched, self.done + following.done
        return BulkOutcome(matched, done, self.is_dry_run, (self.ids + following.ids)[:IDS_SHOWN], following.has_more)


@dataclass(frozen=True, slots=True)
class StallFilter:
    """A filter of stalls; all its fields must fit, None fits every stall. The window is as that of `Filter`.

    Raises InvalidOptions for a filter that no stall can fit.
    """

    kind: str | None = None
    function: str | None = None
    route: str | None = None
    worker: str | None = None
    job_id: str | None = None
    fingerprint: str | None = None
    after_ms: int | None = None
    before_ms: int | None = None

    def __post_init__(self) -> None:
        if self.fingerprint is not None and not is_fingerprint(self.fingerprint):
            msg = (
                f"fingerprint: {self.fingerprint!r} is not a fingerprint: 12 hex digits, as in `fingerprint` of a stall"
            )
            raise InvalidOptions(msg)
        if self.after_ms is not None and self.before_ms is not None and self.after_ms >= self.before_ms:
            msg = "after is not before before; no stall can fit both"
            raise InvalidOptions(msg)

    def matches(self, stall: Mapping[str, Any]) -> bool:
        """Return True if a stall fits, whenever it was."""
        names = ("kind", "function", "route", "worker", "job_id", "fingerprint")
        return all(getattr(self, name) in (None, stall.get(name)) for name in names)

    def is_in_window(self, at: str) -> bool:
        """Return True for a time, written as in a stall, that is in the window."""
        after, before = rfc3339(self.after_ms), rfc3339(self.before_ms)
        return (after is None or at >= after) and (before is None or at < before)
