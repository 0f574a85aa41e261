"""The documents of the fleet: workers with their event loops and executors, counts over time, the audit."""

from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict

from offload.documents.schema import example

ExecutorKind: TypeAlias = Literal["thread", "process"]


class LoopDocument(TypedDict):
    """How a worker's event loop is doing, as of its last beat.

    `lag_ms` is by how much the loop was late, `max_lag_ms` the most of that since the beat before, `busy` the share of
    that time in which steps of jobs held it. Since the worker began: `functions` has what jobs took of the loop in ms,
    of the ten that took most; `stalls` counts by kind; of these `stalls_dropped` found no room in the worker, and
    `stalls_lost` no way to Redis.
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

    `busy` of `size` run something; `waiting` jobs and steps have none. `leaked` threads run a call that was to end, for
    its job was aborted or its time was up, and cannot be stopped; up to `size` of them hold no place of the others.
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
    """A live worker, as it describes itself; `loop` is null where its event loop is not watched.

    `executors` has its threads and processes, for each queue whose jobs run there.
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
    """How attempts ended in the minute, or hour, from `at`; `mean_ms` is how long those that succeeded ran.

    `failed` ones were to be tried again, `requeued` ones were interrupted or not known where they were taken.
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

    `minutes` are the last 60, `hours` the last 24; the last point of each is still under way.
    """

    statuses: dict[str, int]
    functions: dict[str, dict[str, int]]
    minutes: list[PointDocument]
    hours: list[PointDocument]


@example(
    at="2026-11-22T09:30:00.125Z", who="ops", action="queue.pause", target="mail", count=1, detail={"changed": True}
)
class AuditEntry(TypedDict):
    """One thing that somebody did: `who` is the name of a key, `anonymous`, or `cli:<user>`; `count` to how many."""

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
