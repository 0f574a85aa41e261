"""The document of a job, as `GET /v1/jobs/{id}` answers it, as `--json` prints it, and as a callback carries it.

Times are RFC 3339 in UTC, durations seconds. A name that is not here is not part of it.
"""

from typing import Any, NotRequired
from urllib.parse import quote

import orjson
from typing_extensions import TypedDict

from offload.domain.clock import rfc3339
from offload.domain.errors import ErrorInfo
from offload.domain.records import FailedAttempt, JobRecord
from offload.domain.states import Status


class ErrorDocument(TypedDict):
    """An exception as data; jobs that failed in the same way share its `fingerprint`, null where no attempt failed."""

    type: str
    message: str
    traceback: str
    fingerprint: str | None
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
    """One job in a list: all but its result, its failed attempts and its log.

    Of the event loop it took `loop_ms` in `steps`, the longest `max_step_ms`; `stalls` of them were too long. It waited
    `executor_wait_ms` in its worker for a thread or a process; the latter took `cpu_ms`, and `peak_rss_bytes` at most.
    """

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
    priority: int
    unique_key: str | None
    parent: str | None
    callback_url: str | None
    worker: str | None
    loop_ms: float | None
    steps: int | None
    max_step_ms: float | None
    stalls: int
    over_budget: int | None
    executor_wait_ms: float | None
    cpu_ms: float | None
    peak_rss_bytes: int | None
    links: dict[str, str]


class JobDocument(JobSummary):
    """One job as it stands, secrets among `args` masked; `result` is null until it has succeeded, and once expired."""

    result: Any
    attempts: list[AttemptDocument]
    log: list[dict[str, Any]]


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
        "priority": record.priority,
        "unique_key": record.unique_key,
        "parent": record.parent,
        "callback_url": record.callback_url,
        "worker": record.worker,
        "loop_ms": record.loop_ms,
        "steps": record.steps,
        "max_step_ms": record.max_step_ms,
        "stalls": record.stalls,
        "over_budget": record.over_budget,
        "executor_wait_ms": record.executor_wait_ms,
        "cpu_ms": record.cpu_ms,
        "peak_rss_bytes": record.peak_rss_bytes,
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
    return f"/v1/jobs/{job_id if job_id.isascii() and job_id.isalnum() else quote(job_id, safe='')}"


def links(record: JobRecord) -> dict[str, str]:
    """Name where to go from a job; `abort` and `retry` stand there only while they can be done."""
    here = location(record.id)
    found = {"self": here, "result": f"{here}/result", "events": f"{here}/events"}
    if record.callback_id is not None:
        found["callback"] = location(record.callback_id)
    if not record.status.is_terminal:
        found["abort"] = f"{here}/abort"
    if record.status in (Status.DEAD, Status.ABORTED, Status.DEFERRED, Status.RETRYING):
        found["retry"] = f"{here}/retry"
    return found


def _attempt(one: FailedAttempt) -> AttemptDocument:
    return {
        "attempt": one.attempt,
        "started_at": rfc3339(one.started_ms),
        "ended_at": rfc3339(one.ended_ms),
        "worker": one.worker,
        "error": _error(one.error),
    }


def _error(error: ErrorInfo) -> ErrorDocument:
    document: ErrorDocument = {
        "type": error.type,
        "message": error.message,
        "traceback": error.traceback,
        "fingerprint": error.fingerprint or None,
    }
    if error.details:
        document["details"] = error.details
    return document
