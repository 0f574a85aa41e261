"""The shapes that the API answers with; each is declared once, for the type checker and for OpenAPI alike.

Times are RFC 3339 in UTC, durations seconds. A name that is not here is not part of the API.
"""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired
from urllib.parse import quote

import orjson
from starlette.responses import Response
from typing_extensions import TypedDict

from service.api.state import Defaults
from service.domain.clock import rfc3339
from service.domain.errors import ErrorInfo
from service.domain.events import Event
from service.domain.functions import JobFunction
from service.domain.records import FailedAttempt, JobRecord, QueueState
from service.domain.states import Status


class ErrorDocument(TypedDict):
    """An exception as data."""

    type: str
    message: str
    traceback: str
    details: NotRequired[dict[str, Any]]


class ProgressDocument(TypedDict):
    """How far a job says it is; `fraction` is from 0 to 1, or null where it cannot know."""

    fraction: float | None
    message: str | None
    at: str | None


class AttemptDocument(TypedDict):
    """One attempt that did not succeed."""

    attempt: int
    started_at: str | None
    ended_at: str | None
    worker: str | None
    error: ErrorDocument


class JobSummary(TypedDict):
    """One job in a list: all but its result, its failed attempts and its log."""

    id: str
    function: str | None
    queue: str
    status: Status
    aborting: bool
    args: dict[str, Any] | None
    attempt: int
    max_tries: int | None
    progress: ProgressDocument | None
    error: ErrorDocument | None
    tags: list[str]
    enqueued_at: str | None
    run_at: str | None
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    deadline: str | None
    timeout: float | None
    parent: str | None
    worker: str | None
    loop_ms: float | None
    links: dict[str, str]


class JobDocument(JobSummary):
    """One job as it stands, secrets among `args` masked; `result` is null until it has succeeded, and once expired."""

    result: Any
    attempts: list[AttemptDocument]
    log: list[dict[str, Any]]


class JobList(TypedDict):
    """One page of jobs, newest first; `next` is the `cursor` of the page after it, null on the last."""

    items: list[JobSummary]
    next: str | None


class BackoffDocument(TypedDict):
    """Wait a random share of `min(limit, base * factor ** (attempt - 1))` seconds between attempts."""

    base: float
    factor: float
    limit: float


class PolicyDocument(TypedDict):
    """When a failed attempt is tried again, and how long things take and last, in seconds."""

    max_tries: int
    timeout: float
    keep_result: float
    retries_exceptions: bool
    backoff: BackoffDocument


class FunctionDocument(TypedDict):
    """One job function; `arguments` and `result` are JSON schemas, `recent` counts its endings of the last 24 hours."""

    name: str
    description: str
    queue: str
    runs_in: Literal["loop", "thread", "process"]
    arguments: dict[str, Any]
    result: dict[str, Any]
    policy: PolicyDocument
    recent: dict[str, int]
    links: dict[str, str]


class FunctionList(TypedDict):
    """All job functions, by name."""

    items: list[FunctionDocument]
    next: None


class QueueDocument(TypedDict):
    """One queue; `oldest_at` is when its longest waiting due job became due."""

    name: str
    queued: int
    deferred: int
    running: int
    oldest_at: str | None
    paused: bool
    max_running: int | None
    rate: str | None


class QueueList(TypedDict):
    """All queues that are declared or were ever used."""

    items: list[QueueDocument]
    next: None


class WorkerList(TypedDict):
    """The live workers, each as it describes itself; times of theirs end in `_at`."""

    items: list[dict[str, Any]]
    next: None


class StatsDocument(TypedDict):
    """How many kept jobs there are of each status, and how each function's jobs ended in the last 24 hours."""

    statuses: dict[str, int]
    functions: dict[str, dict[str, int]]


def answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Serialise a document."""
    return Response(orjson.dumps(document), status, headers, "application/json")


def summary(record: JobRecord) -> JobSummary:
    """Describe a job for a list."""
    error, progress = record.error, record.progress
    return {
        "id": record.id,
        "function": record.function,
        "queue": record.queue,
        "status": record.status,
        "aborting": record.aborting,
        "args": record.args,
        "attempt": record.attempt,
        "max_tries": record.max_tries,
        "progress": None
        if progress is None
        else {"fraction": progress.fraction, "message": progress.message, "at": rfc3339(progress.at_ms)},
        "error": None if error is None else _error(error),
        "tags": list(record.tags),
        "enqueued_at": rfc3339(record.enqueued_ms),
        "run_at": rfc3339(record.due_ms),
        "started_at": rfc3339(record.started_ms),
        "finished_at": rfc3339(record.finished_ms),
        "expires_at": rfc3339(record.expires_ms),
        "deadline": rfc3339(record.deadline_ms),
        "timeout": record.timeout,
        "parent": record.parent,
        "worker": record.worker,
        "loop_ms": record.loop_ms,
        "links": links(record),
    }


def job(record: JobRecord) -> JobDocument:
    """Describe a job in full."""
    return {
        **summary(record),
        "result": None if record.result is None else orjson.Fragment(record.result),
        "attempts": [_attempt(one) for one in record.attempts],
        "log": [{**line, "at": rfc3339(line.get("at"))} for line in record.log],
    }


def location(job_id: str) -> str:
    """Return where a job is; stock producers choose ids freely."""
    return f"/v1/jobs/{quote(job_id, safe='')}"


def links(record: JobRecord) -> dict[str, str]:
    """Name where to go from a job; `abort` and `retry` stand there only while they can be done."""
    here = location(record.id)
    found = {"self": here, "result": f"{here}/result", "events": f"{here}/events"}
    if not record.status.is_terminal:
        found["abort"] = f"{here}/abort"
    if record.status in (Status.DEAD, Status.ABORTED, Status.DEFERRED, Status.RETRYING):
        found["retry"] = f"{here}/retry"
    return found


def function(one: JobFunction[Any, Any], defaults: Defaults, recent: Mapping[str, int]) -> FunctionDocument:
    """Describe a job function, with the worker's defaults where it says nothing itself."""
    here = f"/v1/functions/{quote(one.name, safe='')}"
    return {
        "name": one.name,
        "description": one.description,
        "queue": one.queue,
        "runs_in": one.runs_in,
        "arguments": one.arguments.schema,
        "result": one.result_type.schema,
        "policy": {
            "max_tries": one.max_tries or defaults.max_tries,
            "timeout": one.timeout or defaults.timeout,
            "keep_result": defaults.keep_result if one.keep_result is None else one.keep_result,
            "retries_exceptions": bool(one.retry_on),
            "backoff": {"base": one.backoff.base, "factor": one.backoff.factor, "limit": one.backoff.limit},
        },
        "recent": dict(recent),
        "links": {"self": here, "jobs": f"{here}/jobs"},
    }


def queue(state: QueueState) -> QueueDocument:
    """Describe a queue."""
    return {
        "name": state.name,
        "queued": state.queued,
        "deferred": state.deferred,
        "running": state.running,
        "oldest_at": rfc3339(state.oldest_ms),
        "paused": state.paused,
        "max_running": state.max_running,
        "rate": state.rate,
    }


def event(happened: Event) -> dict[str, Any]:
    """Describe an event of a job: what it brings, with times as everywhere."""
    data = {name: value for name, value in happened.data.items() if name != "due"}
    if "due" in happened.data:
        data["run_at"] = rfc3339(happened.data["due"])
    return {"job_id": happened.job_id, "at": rfc3339(happened.at_ms), **data}


def _attempt(one: FailedAttempt) -> AttemptDocument:
    return {
        "attempt": one.attempt,
        "started_at": rfc3339(one.started_ms),
        "ended_at": rfc3339(one.ended_ms),
        "worker": one.worker,
        "error": _error(one.error),
    }


def _error(error: ErrorInfo) -> ErrorDocument:
    document: ErrorDocument = {"type": error.type, "message": error.message, "traceback": error.traceback}
    if error.details:
        document["details"] = error.details
    return document
