"""The states of a job and which moves between them exist; docs/states.md draws the same table.

A job's status is stored when a script moves it, except that time alone turns `deferred` and `retrying` into `queued`.
"""

from enum import StrEnum


class Status(StrEnum):
    """The status of a job."""

    DEFERRED = "deferred"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    ABORTED = "aborted"

    @property
    def is_terminal(self) -> bool:
        """True for the states that only a person's retry ends."""
        return self in TERMINAL


TERMINAL = frozenset({Status.SUCCEEDED, Status.DEAD, Status.ABORTED})
PENDING = frozenset({Status.DEFERRED, Status.QUEUED, Status.RETRYING})

MOVES: dict[Status, frozenset[Status]] = {
    Status.DEFERRED: frozenset({Status.QUEUED, Status.RUNNING, Status.ABORTED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.ABORTED}),
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.RETRYING, Status.QUEUED, Status.DEAD, Status.ABORTED}),
    Status.RETRYING: frozenset({Status.QUEUED, Status.RUNNING, Status.ABORTED}),
    Status.SUCCEEDED: frozenset(),
    Status.DEAD: frozenset({Status.QUEUED}),
    Status.ABORTED: frozenset({Status.QUEUED}),
}


def as_seen(stored: Status, due_ms: int | None, now_ms: int) -> Status:
    """Return the status a reader should see: a deferred or retrying job that has become due is queued."""
    if stored in (Status.DEFERRED, Status.RETRYING) and due_ms is not None and due_ms <= now_ms:
        return Status.QUEUED
    return stored
