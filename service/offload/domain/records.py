"""Records of jobs, queues, schedules and stalls as values, independent of their storage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offload.domain.errors import ErrorInfo
from offload.domain.states import Status


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress that a job reported: `fraction` from 0 to 1, or None if it is unknown."""

    fraction: float | None
    message: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt that did not succeed: its worker, times and error."""

    attempt: int
    started_ms: int | None
    ended_ms: int
    worker: str | None
    error: ErrorInfo


@dataclass(slots=True)
class JobRecord:
    """One job; times in ms since the epoch, None for events that have not happened.

    Never changed, but not frozen: one is made for each job that is shown, and frozen ones are slower to make.

    `args` are the JSON arguments with secrets masked; None once they are no longer kept.
    `callback_url` gets a webhook at each end; the job `callback_id` delivers the last one.
    `result` holds raw JSON, None before the job has succeeded or after its TTL has passed (`result_expired`). If it is
    encrypted with a key that this process does not have, `args` and `result` are None and `missing_key` has its id.
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
    missing_key: str | None = None
    error: ErrorInfo | None = None
    progress: Progress | None = None
    tags: tuple[str, ...] = ()
    loop_ms: float | None = None
    steps: int | None = None
    max_step_ms: float | None = None
    stalls: int = 0
    over_budget: int | None = None
    executor_wait_ms: float | None = None
    cpu_ms: float | None = None
    peak_rss_bytes: int | None = None
    aborting: bool = False
    parent: str | None = None
    priority: int = 0
    unique_key: str | None = None
    callback_url: str | None = None
    callback_id: str | None = None
    attempts: tuple[FailedAttempt, ...] = ()
    log: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and where the next begins (None: this was the last)."""

    items: tuple[JobRecord, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue; `oldest_ms` is when its longest waiting due job became due.

    `paused_by` and `paused_ms` are None if it is not paused, or if they are unknown.
    """

    name: str
    queued: int
    deferred: int
    running: int
    oldest_ms: int | None
    paused: bool
    max_running: int | None
    rate: str | None
    paused_by: str | None = None
    paused_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a time series: how attempts ended in the time from `at_ms`, and how long those that succeeded ran.

    `endings` counts `succeeded`, `dead`, `aborted`, `failed` (to be retried) and `requeued`, without zeros.
    """

    at_ms: int
    endings: dict[str, int]
    mean_ms: float | None


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """Recent endings of a job function, and the mean run time in ms of attempts that succeeded."""

    endings: dict[str, int]
    mean_ms: float | None


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule of the code with its next and last tick, in ms, and the job of the last tick."""

    name: str
    function: str
    plan: str
    timezone: str
    next_ms: int | None
    last_ms: int | None
    last_job: str | None
    paused: bool


@dataclass(frozen=True, slots=True)
class StallGroup:
    """All stalls of one cause: count, total and longest time in ms, first and last time, the last record."""

    fingerprint: str
    count: int
    held_ms: int
    max_ms: int
    first_ms: int
    last_ms: int
    last: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FleetMetrics:
    """The fleet in numbers, for a scrape of `/metrics`.

    Since the data in Redis was created: `endings` counts by ending and function, `ran_ms` is the run time of attempts
    that succeeded, `over_budget` counts the steps over the loop budget of their function, `stalls` has count and total
    ms by kind and name. `ongoing` counts the stalls that last. `loops` has the last report of each worker's event loop.
    `executors` has threads and processes by kind and queue.
    """

    statuses: dict[str, int]
    queues: tuple[QueueState, ...]
    endings: dict[tuple[str, str], int]
    ran_ms: dict[str, int]
    over_budget: dict[str, int]
    workers: int
    slots: int
    running: int
    stalls: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    ongoing: int = 0
    loops: tuple[Mapping[str, Any], ...] = ()
    executors: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
