"""The shapes of what comes out about the fleet: functions, queues, schedules, counts, and why a job does not run.

As in `documents`, times are RFC 3339 in UTC, and a newer service may send members that are not listed here.
"""

from typing import Any, Literal, NotRequired, TypedDict

from offload.sdk.documents import Status


class BackoffDocument(TypedDict):
    """Wait a random share of `min(limit, base * factor ** (attempt - 1))` seconds between attempts."""

    base: float
    factor: float
    limit: float


class PolicyDocument(TypedDict):
    """When a failed attempt is tried again, and how long things take and last, in seconds.

    `loop_budget_ms` is how long one step of an async job may hold the event loop; over it, `over_budget` is done.
    """

    max_tries: int
    timeout: float
    keep_result: float
    retries_exceptions: bool
    backoff: BackoffDocument
    loop_budget_ms: float | None
    over_budget: Literal["warn", "fail"]


class OverrideDocument(TypedDict):
    """Who had a job function run somewhere else than its code says, and since when."""

    runs_in: Literal["thread", "process"]
    by: str
    at: str | None


class FunctionDocument(TypedDict):
    """One job function; `arguments` and `result` are JSON schemas.

    `runs_in` is where it runs, by its code or by `override`, which is None where nobody moved it. `recent` counts its
    endings of the last 24 hours; `mean_ms` is for how long those attempts that succeeded ran.
    """

    name: str
    description: str
    queue: str
    runs_in: Literal["loop", "thread", "process"]
    override: OverrideDocument | None
    arguments: dict[str, Any]
    result: dict[str, Any]
    policy: PolicyDocument
    recent: dict[str, int]
    mean_ms: float | None
    links: dict[str, str]


class QueueDocument(TypedDict):
    """One queue; `oldest_at` is when its longest waiting due job became due, `paused_by` the name of a key."""

    name: str
    queued: int
    deferred: int
    running: int
    oldest_at: str | None
    paused: bool
    paused_by: str | None
    paused_at: str | None
    max_running: int | None
    rate: str | None
    links: dict[str, str]


class JobRefDocument(TypedDict):
    """Another job that an explanation names; `worker` and `since` are None where it does not run."""

    id: str
    function: str | None
    worker: str | None
    since: str | None


class LimitsDocument(TypedDict):
    """What holds the queue back; `holders` are up to five of its running jobs.

    `next_start_at` is when its rate allows another start, None where it does now.
    """

    paused: bool
    paused_by: str | None
    paused_at: str | None
    max_running: int | None
    running: int
    holders: list[JobRefDocument]
    rate: str | None
    next_start_at: str | None


class WorkerCountsDocument(TypedDict):
    """The live workers: how many there are, serve the queue, know the function too; and the slots of these."""

    live: int
    serving: int
    able: int
    slots: int
    running: int


class JobWorkerDocument(TypedDict):
    """The worker that has the job: since when, and when it was last heard of."""

    id: str
    since: str | None
    beat_at: str | None


class ExplanationDocument(TypedDict):
    """Why a job is not running: `reason` is a stable word, `sentence` for a person, the rest the facts behind both.

    `also` names what will hold it back after that. `position` is how many jobs are before it in its queue, and `before`
    the first five of them; None where it is not due. `run_at` is when its queue offers it.
    """

    job_id: str
    function: str | None
    queue: str
    status: Status
    reason: str
    sentence: str
    also: list[str]
    run_at: str | None
    position: int | None
    before: list[JobRefDocument]
    limits: LimitsDocument
    workers: WorkerCountsDocument
    worker: JobWorkerDocument | None


class ScheduleDocument(TypedDict):
    """One schedule of the service's code: its plan, when it fires next and did last, and the job of that tick.

    `next_at` is None until a worker has seen the schedule.
    """

    name: str
    function: str
    plan: str
    timezone: str
    next_at: str | None
    last_at: str | None
    last_job: str | None
    paused: bool
    links: dict[str, str]


class PointDocument(TypedDict):
    """How attempts ended in the minute, or hour, from `at`; `mean_ms` is how long those that succeeded ran.

    `failed` ones were to be tried again, `putback` ones were interrupted or not known where they were taken.
    """

    at: str | None
    succeeded: int
    failed: int
    dead: int
    aborted: int
    putback: int
    mean_ms: float | None


class StatsDocument(TypedDict):
    """Kept jobs by status, endings by function in the last 24 hours, and time series, oldest first.

    `minutes` are the last 60, `hours` the last 24; the last point of each is still under way.
    """

    statuses: dict[str, int]
    functions: dict[str, dict[str, int]]
    minutes: list[PointDocument]
    hours: list[PointDocument]


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
    kind: Literal["thread", "process"]
    size: int
    busy: int
    waiting: int
    leaked: int


class WorkerDocument(TypedDict):
    """A live worker, as it describes itself; `loop` is None where its event loop is not watched.

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


class AuditEntry(TypedDict):
    """One thing that somebody did: `who` is the name of a key, `anonymous`, or `cli:<user>`; `count` to how many."""

    at: str
    who: str
    action: str
    target: str
    count: int
    detail: dict[str, Any]


class SuspectDocument(TypedDict):
    """A thread that may have kept the loop from the GIL: what it works on, and where it was, if that was seen."""

    thread: str
    job_id: str | None
    function: str | None
    file: str | None
    line: int | None
    call: str | None


class StallDocument(TypedDict):
    """What held an event loop for too long: which job or route, which line, for how long, and what to do instead.

    Only the kinds `step` and `callback` blame anyone. Stalls of one cause share their `fingerprint`. Of one that
    lasts, `at` is when it began. Of `held_ms` the loop's thread computed for `cpu_ms`, Python collected garbage for
    `gc_ms`, and a processor was waited for for `waited_ms`; `suspects` are threads that may have held the GIL;
    `reason` is why the worker was killed, if it was.
    """

    at: str
    kind: Literal["step", "callback", "saturated", "gc", "starved", "gil-other-thread", "startup"]
    process: str
    worker: str | None
    job_id: str | None
    function: str | None
    route: str | None
    file: str | None
    line: int | None
    code: str | None
    call: NotRequired[str | None]
    callee: str | None
    held_ms: int
    stack: str
    hint: str
    reason: NotRequired[str]
    line_exact: NotRequired[bool]
    cpu_ms: NotRequired[float]
    gc_ms: NotRequired[float]
    waited_ms: NotRequired[float]
    suspects: NotRequired[list[SuspectDocument]]
    samples: NotRequired[int]
    fingerprint: NotRequired[str]


class StallGroupDocument(TypedDict):
    """All stalls of one cause: how many, for how many ms in all and the longest, from when to when, and the last."""

    fingerprint: str
    count: int
    held_ms: int
    max_ms: int
    first_at: str
    last_at: str
    last: StallDocument


class BulkDocument(TypedDict):
    """What became of all jobs that fit a filter.

    `matched` counts those that fit and that the action is for: in a dry run all, else those it took on. `done` counts
    those that it worked on; the others had moved on meanwhile. `ids` has the first hundred. Where `more` is true there
    may be others: call again.
    """

    matched: int
    done: int
    dry_run: bool
    ids: list[str]
    more: bool
