"""Explains why a job is not running: a sentence for a person, and a stable word for a program.

Causes are checked in the order in which a person has to remove them: a pause, a missing worker, limits, other jobs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from offload.domain.clock import rfc3339
from offload.domain.records import JobRecord, QueueState
from offload.domain.states import Status


class Reason(StrEnum):
    """The cause of a job's present status; the words are stable."""

    SUCCEEDED = "succeeded"
    DEAD = "dead"
    ABORTED = "aborted"
    RUNNING = "running"
    WAITS_FOR_THREAD = "waits-for-thread"
    WAITS_FOR_PROCESS = "waits-for-process"
    RUNS_ELSEWHERE = "runs-elsewhere"
    DEFERRED = "deferred"
    RETRYING = "retrying"
    REQUEUED = "requeued"
    NOT_QUEUED = "not-queued"
    QUEUE_PAUSED = "queue-paused"
    NO_WORKER = "no-worker"
    UNKNOWN_FUNCTION = "unknown-function"
    WORKERS_STOPPING = "workers-stopping"
    MAX_RUNNING = "max-running"
    RATE = "rate"
    WORKERS_FULL = "workers-full"
    LEASE_OVER = "lease-over"
    BEHIND_OTHERS = "behind-others"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class JobRef:
    """Another job that an explanation names; `worker` and `since_ms` if it is running."""

    id: str
    function: str | None
    worker: str | None = None
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A live worker as it described itself at `beat_ms`; `slots` is how many jobs it runs at once."""

    id: str
    queues: frozenset[str]
    functions: frozenset[str]
    slots: int
    running: int
    is_stopping: bool
    beat_ms: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of a job and of all that it may wait for; times, `now_ms` too, in ms by Redis' clock.

    `position` is the number of due jobs before it, None if it is not due; `before` names the first of them, `holders`
    the running jobs of its queue. `offered_ms` is when a worker may claim it: for a running job, when its lease ends.
    `next_start_ms` is when the queue's rate allows another start, None if it does now. `waits_for` is `thread` or
    `process` if its worker has claimed it and has none free. `requeue_reason` is why a worker last could not run it.
    """

    record: JobRecord
    queue: QueueState
    workers: Sequence[WorkerView]
    now_ms: int
    position: int | None = None
    before: Sequence[JobRef] = ()
    holders: Sequence[JobRef] = ()
    offered_ms: int | None = None
    is_leased: bool = False
    next_start_ms: int | None = None
    waits_for: str | None = None
    requeue_reason: str | None = None

    @property
    def serving(self) -> list[WorkerView]:
        """The live workers that serve the job's queue."""
        return [one for one in self.workers if self.queue.name in one.queues]

    @property
    def able(self) -> list[WorkerView]:
        """Those of `serving` that know the job's function; all of them if its function is not known yet."""
        name = self.record.function
        return [one for one in self.serving if name is None or name in one.functions]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The first reason with its sentence, and the reasons that remain after that one is removed."""

    reason: Reason
    sentence: str
    also: tuple[Reason, ...]
    facts: Facts


def explain(facts: Facts) -> Explanation:
    """Return the causes of a job's present status, the first with its sentence."""
    found = list(_reasons(facts))
    (reason, sentence), *others = found
    return Explanation(reason, sentence, tuple(other for other, _ in others), facts)


_Found = tuple[Reason, str]


def _reasons(facts: Facts) -> Iterator[_Found]:
    record = facts.record
    lease_is_over = record.status is Status.RUNNING and not facts.is_leased
    if record.status.is_terminal:
        yield _ended(record)
    elif record.status is Status.RUNNING and facts.is_leased:
        yield _running(facts)
    elif facts.is_leased:
        yield Reason.RUNS_ELSEWHERE, "Held by a stock arq worker, which does not report its id."
    elif facts.offered_ms is None:
        yield (
            Reason.NOT_QUEUED,
            "Not in any known queue; a queue becomes known when a worker of it starts.",
        )
    elif facts.offered_ms > facts.now_ms:
        yield _waits_for_its_time(facts)
        yield from _blocked_for_long(facts)
    else:
        yield from _blocked_for_long(facts)
        yield from _blocked_by_limits(facts)
        if lease_is_over:
            yield _lease_over(facts)
        yield _in_line(facts)


def _ended(record: JobRecord) -> _Found:
    when = f"at {rfc3339(record.finished_ms)}" if record.finished_ms is not None else "at an unknown time"
    tries = f"{record.attempt} attempt{'' if record.attempt == 1 else 's'}"
    match record.status:
        case Status.SUCCEEDED:
            return Reason.SUCCEEDED, f"Succeeded {when}, after {tries}."
        case Status.DEAD:
            why = f" ({record.error.type}: {record.error.message})" if record.error else ""
            return Reason.DEAD, f"Died {when}, after {tries}{why}. Use `offload jobs retry` to requeue it."
        case _:
            return Reason.ABORTED, f"Aborted {when}. Use `offload jobs retry` to requeue it."


def _running(facts: Facts) -> _Found:
    record = facts.record
    took, since = _span(facts.now_ms - (record.started_ms or facts.now_ms)), rfc3339(record.started_ms)
    if facts.waits_for is not None:
        reason = Reason.WAITS_FOR_THREAD if facts.waits_for == "thread" else Reason.WAITS_FOR_PROCESS
        return reason, (
            f"Claimed by worker {record.worker} {took} ago ({since}), but all its {_plural(facts.waits_for)} for queue "
            f"{record.queue!r} are busy; the job starts when one is free."
        )
    worker = next((one for one in facts.workers if one.id == record.worker), None)
    heartbeat = "no recent heartbeat" if worker is None or worker.beat_ms is None else (
        f"last heartbeat {_span(facts.now_ms - worker.beat_ms)} ago"
    )  # fmt: skip
    aborting = "; abort requested" if record.aborting else ""
    return Reason.RUNNING, f"Running for {took} (since {since}) on worker {record.worker}; {heartbeat}{aborting}."


def _waits_for_its_time(facts: Facts) -> _Found:
    record, at_ms = facts.record, facts.offered_ms or 0
    when = f"{rfc3339(at_ms)}, in {_span(at_ms - facts.now_ms)}"
    match record.status:
        case Status.RETRYING:
            of = f" of {record.max_tries}" if record.max_tries else ""
            return Reason.RETRYING, f"Attempt {record.attempt}{of} failed; the next may start at {when}."
        case Status.DEFERRED:
            return Reason.DEFERRED, f"Deferred until {when}."
        case _:
            why = f": {facts.requeue_reason}" if facts.requeue_reason else ""
            return Reason.REQUEUED, f"Requeued by a worker that could not run it{why}; available again at {when}."


def _blocked_for_long(facts: Facts) -> Iterator[_Found]:
    """Yield causes that do not pass with time: a person has to resume, start or deploy something."""
    queue, name = facts.queue, facts.record.function
    if queue.paused:
        by = f" by {queue.paused_by}" if queue.paused_by else ""
        since = f" since {rfc3339(queue.paused_ms)}" if queue.paused_ms else ""
        yield Reason.QUEUE_PAUSED, f"Queue {queue.name!r} is paused{by}{since}; it starts no jobs until resumed."
    if not facts.serving:
        there = f"none of the {len(facts.workers)} live workers serves" if facts.workers else "no live worker serves"
        yield Reason.NO_WORKER, f"Waiting for a worker: {there} queue {queue.name!r}."
    elif not facts.able:
        yield (
            Reason.UNKNOWN_FUNCTION,
            (
                f"None of the {len(facts.serving)} workers of queue {queue.name!r} knows the function {name!r}; "
                "they run other or older job modules."
            ),
        )
    elif all(one.is_stopping for one in facts.able):
        yield Reason.WORKERS_STOPPING, f"All workers that could run it are stopping: {_listed(facts.able)}."


def _blocked_by_limits(facts: Facts) -> Iterator[_Found]:
    queue = facts.queue
    if queue.max_running is not None and queue.running >= queue.max_running:
        held = ", ".join(f"{one.id} ({one.function or 'unknown'})" for one in facts.holders)
        more = queue.running - len(facts.holders)
        yield (
            Reason.MAX_RUNNING,
            (
                f"Queue {queue.name!r} is at its limit: {queue.running} of {queue.max_running} jobs are running: "
                f"{held}{f' and {more} more' if more > 0 else ''}."
            ),
        )
    if facts.next_start_ms is not None:
        yield (
            Reason.RATE,
            (
                f"Queue {queue.name!r} is at its rate limit ({queue.rate}); the next start is allowed at "
                f"{rfc3339(facts.next_start_ms)}, in {_span(facts.next_start_ms - facts.now_ms)}."
            ),
        )
    free = [one for one in facts.able if not one.is_stopping]
    if free and all(one.running >= one.slots for one in free):
        yield (
            Reason.WORKERS_FULL,
            (
                f"All {sum(one.slots for one in free)} slots of the workers that could run it are in use: "
                f"{_listed(free)}."
            ),
        )


def _lease_over(facts: Facts) -> _Found:
    return Reason.LEASE_OVER, (f"Worker {facts.record.worker} lost its lease; the next free worker runs the job again.")


def _in_line(facts: Facts) -> _Found:
    if not facts.position:
        return Reason.NEXT, f"Next in queue {facts.queue.name!r}; starts as soon as a worker claims it."
    first = facts.before[0] if facts.before else None
    named = f", the first is {first.id} ({first.function or 'unknown'})" if first else ""
    jobs = "1 job" if facts.position == 1 else f"{facts.position:,} jobs"
    return Reason.BEHIND_OTHERS, f"Behind {jobs} in queue {facts.queue.name!r}{named}."


def _listed(workers: Sequence[WorkerView]) -> str:
    shown = ", ".join(one.id for one in workers[:3])
    return shown + (f" and {len(workers) - 3} more" if len(workers) > 3 else "")


def _plural(place: str) -> str:
    return "threads" if place == "thread" else "processes"


def _span(ms: int) -> str:
    """Format a duration: `0.4 s`, `12 s`, `5 min`, `2.5 h`, `3 d`."""
    seconds = max(0, ms) / 1000
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
