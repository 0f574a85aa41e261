"""The record of a job as a value: what callers and pages are shown, apart from how it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offload.domain.errors import ErrorInfo
from offload.domain.states import Status


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


@dataclass(slots=True)
class JobRecord:
    """One job as it stands; times in ms since the epoch, None where that has not happened.

    Nothing changes one; not frozen, since one is made for each job that is shown.

    `args` are the JSON arguments with secrets masked; None once they are no longer kept.
    `callback_url` is told of each end, the last one by the job `callback_id`.
    `result` holds raw JSON, None while there is none or when its TTL has passed (`result_expired`). Where it is
    encrypted by a key that this process has not, `args` and `result` are None and `missing_key` is the id of the key.
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
    """One queue as it stands; `oldest_ms` is when its longest waiting due job became due.

    Who paused it and when is None where it is not paused, or where nobody said.
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
    """How a job function did lately: its endings, and for how many ms those attempts that succeeded ran on average."""

    endings: dict[str, int]
    mean_ms: float | None


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule of the code as it stands: when it fires next and did last, in ms, and the last tick's job."""

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
    """All stalls of one cause: how many, for how many ms in all and at most, from when to when, the last."""

    fingerprint: str
    count: int
    held_ms: int
    max_ms: int
    first_ms: int
    last_ms: int
    last: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FleetMetrics:
    """What a scrape of `/metrics` shows of the fleet.

    `endings` counts by ending and function since Redis is there, `ran_ms` for how long those that succeeded ran,
    `over_budget` how many steps were over the loop budget of their function;
    `stalls` counts by kind and name what held an event loop, and for how many ms, `ongoing` what does so just now.
    `loops` is what each worker says of its event loop.
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
