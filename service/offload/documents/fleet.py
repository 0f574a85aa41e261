"""The documents of the fleet: workers with their event loops and executors, counts over time, the audit."""

from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict

from offload.documents.schema import example

ExecutorKind: TypeAlias = Literal["thread", "process"]


class LoopDocument(TypedDict):
    """A worker's event loop, as of the worker's last heartbeat.

    `lag_ms` is how late the loop was, `max_lag_ms` the maximum since the heartbeat before, `busy` the share of that
    time in which steps of jobs held it. Since the worker started: `functions` has the loop time in ms of the ten job
    functions that took most; `stalls` counts by kind; `stalls_dropped` of them found the worker's queue full, and
    `stalls_lost` could not be written to Redis.
    """

    lag_ms: float
    max_lag_ms: float
    busy: float
    functions: dict[str, float]
    stalls: dict[str, int]
    stalls_dropped: int
    stalls_lost: int


class ExecutorDocument(TypedDict):
    """The threads or the processes that one worker has for a queue.

    `busy` of `size` run something; `waiting` jobs and steps wait for one. `leaked` threads run a call of a job that was
    aborted or timed out, and cannot be stopped; up to `size` of them take no place from others.
    """

    queue: str
    kind: ExecutorKind
    size: int
    busy: int
    waiting: int
    leaked: int


@example(
    id="web-1-4021-9f3c2a",
    queues=["default", "mail"],
    functions=["mail.send", "report.daily"],
    slots=100,
    running=3,
    succeeded=1204,
    failed=2,
    retried=17,
    stopping=False,
    beat_at="2026-11-22T09:30:00.125Z",
    loop={
        "lag_ms": 0.2,
        "max_lag_ms": 154.2,
        "busy": 0.12,
        "functions": {"mail.send": 1634.8},
        "stalls": {"step": 1},
        "stalls_dropped": 0,
        "stalls_lost": 0,
    },
    executors=[{"queue": "mail", "kind": "thread", "size": 6, "busy": 2, "waiting": 0, "leaked": 0}],
)
class WorkerDocument(TypedDict):
    """A live worker, as of its last heartbeat; `loop` is null if its event loop is not watched.

    `executors` has its threads and processes, for each queue with jobs that run there.
    """

    id: str
    queues: NotRequired[list[str]]
    functions: NotRequired[list[str]]
    slots: NotRequired[int]
    running: NotRequired[int]
    succeeded: NotRequired[int]
    failed: NotRequired[int]
    retried: NotRequired[int]
    stopping: NotRequired[bool]
    beat_at: NotRequired[str]
    loop: NotRequired[LoopDocument | None]
    executors: NotRequired[list[ExecutorDocument]]


class WorkerList(TypedDict):
    """The live workers, by name."""

    items: list[WorkerDocument]
    next: None


class PointDocument(TypedDict):
    """Endings of attempts in the minute, or hour, from `at`; `mean_ms` is the mean run time of those that succeeded.

    `failed` ones were to be retried; `requeued` ones were interrupted, or their worker did not know their function.
    """

    at: str | None
    succeeded: int
    failed: int
    dead: int
    aborted: int
    requeued: int
    mean_ms: float | None


class StatsDocument(TypedDict):
    """Kept jobs by status, endings by function in the last 24 hours, and time series, oldest first.

    `minutes` are the last 60, `hours` the last 24; the last point of each is not complete.
    """

    statuses: dict[str, int]
    functions: dict[str, dict[str, int]]
    minutes: list[PointDocument]
    hours: list[PointDocument]


@example(
    at="2026-11-22T09:30:00.125Z", who="ops", action="queue.pause", target="mail", count=1, detail={"changed": True}
)
class AuditEntry(TypedDict):
    """One action of a person, on `count` jobs or other things: `who` is a key's name, `anonymous`, or `cli:<user>`."""

    at: str
    who: str
    action: str
    target: str
    count: int
    detail: dict[str, Any]


class AuditList(TypedDict):
    """One page of the audit, newest first; a page may be short and still have a next."""

    items: list[AuditEntry]
    next: str | None
