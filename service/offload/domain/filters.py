"""Which jobs a list shows and a bulk call is about: one value, the same for the API, the command line and the store."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from offload.domain.clock import rfc3339
from offload.domain.errors import InvalidOptions
from offload.domain.fingerprints import is_fingerprint
from offload.domain.states import Status

RETRYABLE = (Status.DEAD, Status.ABORTED, Status.RETRYING, Status.DEFERRED)
"""Jobs that a person can put back, or have run now."""
ENDED_WITHOUT = (Status.DEAD, Status.ABORTED)
"""Of these, those that a bulk retry is about when no status is named: what waits for its time keeps its time."""
ABORTABLE = (Status.DEFERRED, Status.RETRYING, Status.QUEUED, Status.RUNNING)
"""Jobs that a person can stop, in the order in which they move: one that moves on meanwhile is met again."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Jobs that fit all that is said; None says nothing.

    `error` is a fingerprint: of any attempt that failed, not only of the last. The window holds jobs enqueued at
    `enqueued_after_ms` or later, and before `enqueued_before_ms`, so that windows that meet share none.
    Raises InvalidOptions for what no job can fit.
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
            msg = f"error: {self.error!r} is no fingerprint; it is the 12 hex digits of `error.fingerprint` of a job"
            raise InvalidOptions(msg)
        after, before = self.enqueued_after_ms, self.enqueued_before_ms
        if after is not None and before is not None and after >= before:
            msg = "enqueued_after is not before enqueued_before; no job can fit both"
            raise InvalidOptions(msg)

    @property
    def is_empty(self) -> bool:
        """Whether every job fits."""
        return self == _EVERYTHING

    def as_dict(self) -> dict[str, Any]:
        """Return what it says, None where it says nothing."""
        return asdict(self)

    def among(
        self, statuses: tuple[Status, ...], verb: str, unless_named: tuple[Status, ...] = ()
    ) -> tuple[Status, ...]:
        """Return which of the statuses fit; raises InvalidOptions for a status that is not among them.

        Where the filter names none it is all of them, or those `unless_named`.
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
    """What a bulk call came to.

    `matched` counts the jobs that fit and that the action can be about: in a dry run all that could be counted, else
    those that were taken on, at most the limit. `done` is how many the action worked on; the rest had moved on. `ids`
    are the first hundred of those matched. `has_more` says that there may be others: call again.
    """

    matched: int
    done: int
    is_dry_run: bool
    ids: tuple[str, ...]
    has_more: bool

    def plus(self, following: "BulkOutcome") -> "BulkOutcome":
        """Return what two calls came to, one after the other."""
        matched, done = self.matched + following.matched, self.done + following.done
        return BulkOutcome(matched, done, self.is_dry_run, (self.ids + following.ids)[:IDS_SHOWN], following.has_more)


@dataclass(frozen=True, slots=True)
class StallFilter:
    """Stalls that fit all that is said; None says nothing. The window is as that of `Filter`.

    Raises InvalidOptions for what no stall can fit.
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
            msg = f"fingerprint: {self.fingerprint!r} is none; it is the 12 hex digits of `fingerprint` of a stall"
            raise InvalidOptions(msg)
        if self.after_ms is not None and self.before_ms is not None and self.after_ms >= self.before_ms:
            msg = "after is not before before; no stall can fit both"
            raise InvalidOptions(msg)

    def matches(self, stall: Mapping[str, Any]) -> bool:
        """Whether a stall is one of these, whenever it was."""
        names = ("kind", "function", "route", "worker", "job_id", "fingerprint")
        return all(getattr(self, name) in (None, stall.get(name)) for name in names)

    def is_in_window(self, at: str) -> bool:
        """Whether a time, as it is written in a stall, is in the window."""
        after, before = rfc3339(self.after_ms), rfc3339(self.before_ms)
        return (after is None or at >= after) and (before is None or at < before)
