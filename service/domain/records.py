"""The record of a job as a value: what callers and pages are shown, apart from how it is stored."""

from dataclasses import dataclass
from typing import Any

from service.domain.errors import ErrorInfo
from service.domain.states import Status


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job says it is: `fraction` from 0 to 1, or None where it cannot know."""

    fraction: float | None
    message: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt that did not succeed: who ran it, when, and what went wrong."""

    attempt: int
    started_ms: int | None
    ended_ms: int
    worker: str | None
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as it stands; times in ms since the epoch, None where that has not happened.

    `args` are the JSON arguments with secrets masked; None once they are no longer kept.
    `result` holds raw JSON, None while there is none or when its TTL has passed (`result_expired`).
    """

    id: str
    function: str | None
    queue: str
    status: Status
    attempt: int
    max_tries: int | None
    enqueued_ms: int | None
    due_ms: int | None = None
    started_ms: int | None = None
    finished_ms: int | None = None
    expires_ms: int | None = None
    deadline_ms: int | None = None
    timeout: float | None = None
    worker: str | None = None
    args: dict[str, Any] | None = None
    result: bytes | None = None
    result_expired: bool = False
    error: ErrorInfo | None = None
    progress: Progress | None = None
    tags: tuple[str, ...] = ()
    loop_ms: float | None = None
    aborting: bool = False
    parent: str | None = None
    attempts: tuple[FailedAttempt, ...] = ()
    log: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and where the next begins (None: this was the last)."""

    items: tuple[JobRecord, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue as it stands; `oldest_ms` is when its longest waiting due job became due."""

    name: str
    queued: int
    deferred: int
    running: int
    oldest_ms: int | None
    paused: bool
    max_running: int | None
    rate: str | None
