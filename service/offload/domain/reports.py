"""What is told to who operates the service: why a job does not run, schedules, time series, the audit.

Each shape is declared once, for the API and for `--json`. Times are RFC 3339 in UTC, durations seconds or `_ms`.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from offload.domain.clock import rfc3339
from offload.domain.explanations import Explanation, Facts, JobRef, Reason
from offload.domain.records import Point, ScheduleView
from offload.domain.states import Status

_Shape = TypeVar("_Shape")


def example(**members: Any) -> Callable[[type[_Shape]], type[_Shape]]:
    """Give a shape an example, which OpenAPI shows."""
    return with_config(ConfigDict(json_schema_extra={"examples": [members]}))


class JobRefDocument(TypedDict):
    """Another job that an explanation names; `worker` and `since` are null where it does not run."""

    id: str
    function: str | None
    worker: str | None
    since: str | None


class LimitsDocument(TypedDict):
    """What holds the queue back; `holders` are up to five of its running jobs.

    `next_start_at` is when its rate allows another start, null where it does now.
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


@example(
    job_id="019ab1f5e0c4b7a0c8d4e5f60718293a",
    function="mail.send",
    queue="mail",
    status="queued",
    reason="queue-paused",
    sentence="Queue 'mail' is paused by ops since 2026-11-22T09:30:00.000Z; it starts no job until it is resumed.",
    also=["behind-others"],
    run_at="2026-11-22T09:31:12.125Z",
    position=1,
    before=[{"id": "019ab1f5e0c4a1b2c3d4e5f60718293a", "function": "mail.send", "worker": None, "since": None}],
    limits={
        "paused": True,
        "paused_by": "ops",
        "paused_at": "2026-11-22T09:30:00.000Z",
        "max_running": 2,
        "running": 0,
        "holders": [],
        "rate": "10/1s",
        "next_start_at": None,
    },
    workers={"live": 2, "serving": 1, "able": 1, "slots": 100, "running": 3},
    worker=None,
)
class ExplanationDocument(TypedDict):
    """Why a job is not running: `reason` is a stable word, `sentence` for a person, the rest the facts behind both.

    `also` names what will hold it back after that. `position` is how many jobs are before it in its queue, and `before`
    the first five of them; null where it is not due. `run_at` is when its queue offers it.
    """

    job_id: str
    function: str | None
    queue: str
    status: Status
    reason: Reason
    sentence: str
    also: list[Reason]
    run_at: str | None
    position: int | None
    before: list[JobRefDocument]
    limits: LimitsDocument
    workers: WorkerCountsDocument
    worker: JobWorkerDocument | None


@example(
    name="report.daily",
    function="report.daily",
    plan="0 6 * * * (Europe/Berlin)",
    timezone="Europe/Berlin",
    next_at="2026-11-23T05:00:00.000Z",
    last_at="2026-11-22T05:00:00.000Z",
    last_job="report.daily:1795323600000",
    paused=False,
    links={"self": "/v1/schedules/report.daily", "run": "/v1/schedules/report.daily/run"},
)
class ScheduleDocument(TypedDict):
    """One schedule of the code: its plan, when it fires next and did last, and the job of that tick.

    `next_at` is null until a worker has seen the schedule.
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


class ScheduleList(TypedDict):
    """All schedules of the code, by name."""

    items: list[ScheduleDocument]
    next: None


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


def explanation(why: Explanation) -> ExplanationDocument:
    """Describe why a job does not run."""
    facts = why.facts
    record, queue, able = facts.record, facts.queue, facts.able
    return {
        "job_id": record.id,
        "function": record.function,
        "queue": queue.name,
        "status": record.status,
        "reason": why.reason,
        "sentence": why.sentence,
        "also": list(why.also),
        "run_at": None if record.status.is_terminal or facts.is_leased else rfc3339(facts.offered_ms),
        "position": facts.position,
        "before": [_named(one) for one in facts.before],
        "limits": {
            "paused": queue.paused,
            "paused_by": queue.paused_by,
            "paused_at": rfc3339(queue.paused_ms),
            "max_running": queue.max_running,
            "running": queue.running,
            "holders": [_named(one) for one in facts.holders],
            "rate": queue.rate,
            "next_start_at": rfc3339(facts.next_start_ms),
        },
        "workers": {
            "live": len(facts.workers),
            "serving": len(facts.serving),
            "able": len(able),
            "slots": sum(one.slots for one in able),
            "running": sum(one.running for one in able),
        },
        "worker": _runner(facts),
    }


def schedule(one: ScheduleView) -> ScheduleDocument:
    """Describe a schedule."""
    here = f"/v1/schedules/{quote(one.name, safe='')}"
    links = {"self": here, "run": f"{here}/run", "pause": f"{here}/pause", "resume": f"{here}/resume"}
    if one.last_job:
        links["last_job"] = f"/v1/jobs/{quote(one.last_job, safe='')}"
    return {
        "name": one.name,
        "function": one.function,
        "plan": one.plan,
        "timezone": one.timezone,
        "next_at": rfc3339(one.next_ms),
        "last_at": rfc3339(one.last_ms),
        "last_job": one.last_job,
        "paused": one.paused,
        "links": links,
    }


def points(series: Sequence[Point]) -> list[PointDocument]:
    """Describe a time series."""
    return [
        {
            "at": rfc3339(one.at_ms),
            "succeeded": one.endings.get("succeeded", 0),
            "failed": one.endings.get("failed", 0),
            "dead": one.endings.get("dead", 0),
            "aborted": one.endings.get("aborted", 0),
            "putback": one.endings.get("putback", 0),
            "mean_ms": one.mean_ms,
        }
        for one in series
    ]


def _named(one: JobRef) -> JobRefDocument:
    return {"id": one.id, "function": one.function, "worker": one.worker, "since": rfc3339(one.since_ms)}


def _runner(facts: Facts) -> JobWorkerDocument | None:
    record = facts.record
    if record.status is not Status.RUNNING or record.worker is None:
        return None
    beats = [one.beat_ms for one in facts.workers if one.id == record.worker]
    return {"id": record.worker, "since": rfc3339(record.started_ms), "beat_at": rfc3339(beats[0] if beats else None)}
