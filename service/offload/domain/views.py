"""Builds the documents of `offload.documents` from domain values, for the API, `--json` and callbacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import orjson

from offload.documents.explanations import ExplanationDocument, JobRefDocument, JobWorkerDocument
from offload.documents.explanations import Reason as ReasonWord
from offload.documents.fleet import PointDocument
from offload.documents.functions import FunctionDocument
from offload.documents.jobs import AttemptDocument, BulkDocument, ErrorDocument, JobDocument, JobSummary
from offload.documents.jobs import Status as StatusWord
from offload.documents.queues import QueueDocument
from offload.documents.schedules import ScheduleDocument
from offload.documents.stalls import StallDocument, StallGroupDocument
from offload.domain.clock import rfc3339
from offload.domain.errors import ErrorInfo
from offload.domain.explanations import Explanation, Facts, JobRef
from offload.domain.filters import BulkOutcome
from offload.domain.functions import JobFunction
from offload.domain.overrides import Override, effective_runs_in
from offload.domain.records import FailedAttempt, FunctionStats, JobRecord, Point, QueueState, ScheduleView, StallGroup
from offload.domain.states import Status


@dataclass(frozen=True, slots=True)
class Defaults:
    """The worker's defaults, for job functions that set no value of their own; `timeout`, `keep_result` in seconds."""

    max_tries: int
    timeout: float
    keep_result: float
    loop_budget_ms: float | None = None


def summary(record: JobRecord) -> JobSummary:
    """Describe a job for a list."""
    error, progress = record.error, record.progress
    return {
        "id": record.id,
        "function": record.function,
        "queue": record.queue,
        "status": cast("StatusWord", record.status),
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
    """Return the path of a job; it is quoted, since arq's producers choose ids freely."""
    return f"/v1/jobs/{job_id if job_id.isascii() and job_id.isalnum() else quote(job_id, safe='')}"


def links(record: JobRecord) -> dict[str, str]:
    """Return the links of a job; `abort` and `retry` only while they are possible."""
    here = location(record.id)
    found = {"self": here, "result": f"{here}/result", "events": f"{here}/events"}
    if record.callback_id is not None:
        found["callback"] = location(record.callback_id)
    if not record.status.is_terminal:
        found["abort"] = f"{here}/abort"
    if record.status in (Status.DEAD, Status.ABORTED, Status.DEFERRED, Status.RETRYING):
        found["retry"] = f"{here}/retry"
    return found


def bulk(outcome: BulkOutcome) -> BulkDocument:
    """Describe the outcome of a bulk call."""
    return {
        "matched": outcome.matched,
        "done": outcome.done,
        "dry_run": outcome.is_dry_run,
        "ids": list(outcome.ids),
        "more": outcome.has_more,
    }


def function(
    one: JobFunction[Any, Any], defaults: Defaults, recent: FunctionStats | None, override: Override | None = None
) -> FunctionDocument:
    """Describe a job function, with the worker's defaults where it has no value of its own."""
    here = f"/v1/functions/{quote(one.name, safe='')}"
    return {
        "name": one.name,
        "description": one.description,
        "queue": one.queue,
        "runs_in": effective_runs_in(one, override),
        "override": None
        if override is None
        else {"runs_in": override.runs_in, "by": override.by, "at": rfc3339(override.at_ms)},
        "arguments": one.arguments.schema,
        "result": one.result_type.schema,
        "policy": {
            "max_tries": one.max_tries or defaults.max_tries,
            "timeout": one.timeout or defaults.timeout,
            "keep_result": defaults.keep_result if one.keep_result is None else one.keep_result,
            "retries_exceptions": bool(one.retry_on),
            "backoff": {"base": one.backoff.base, "factor": one.backoff.factor, "limit": one.backoff.limit},
            "loop_budget_ms": one.loop_budget_ms or (defaults.loop_budget_ms if one.runs_in == "loop" else None),
            "over_budget": one.over_budget,
        },
        "recent": dict(recent.endings) if recent else {},
        "mean_ms": recent.mean_ms if recent else None,
        "links": {"self": here, "jobs": f"{here}/jobs"},
    }


def queue(state: QueueState) -> QueueDocument:
    """Describe a queue."""
    here = f"/v1/queues/{quote(state.name, safe='')}"
    return {
        "name": state.name,
        "queued": state.queued,
        "deferred": state.deferred,
        "running": state.running,
        "oldest_at": rfc3339(state.oldest_ms),
        "paused": state.paused,
        "paused_by": state.paused_by,
        "paused_at": rfc3339(state.paused_ms),
        "max_running": state.max_running,
        "rate": state.rate,
        "links": {"self": here, "pause": f"{here}/pause", "resume": f"{here}/resume"},
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


def explanation(why: Explanation) -> ExplanationDocument:
    """Describe why a job does not run."""
    facts = why.facts
    record, queue, able = facts.record, facts.queue, facts.able
    return {
        "job_id": record.id,
        "function": record.function,
        "queue": queue.name,
        "status": cast("StatusWord", record.status),
        "reason": cast("ReasonWord", why.reason),
        "sentence": why.sentence,
        "also": cast("list[ReasonWord]", list(why.also)),
        "run_at": None if record.status.is_terminal or facts.is_leased else rfc3339(facts.offered_ms),
        "position": facts.position,
        "before": [_job_ref(one) for one in facts.before],
        "limits": {
            "paused": queue.paused,
            "paused_by": queue.paused_by,
            "paused_at": rfc3339(queue.paused_ms),
            "max_running": queue.max_running,
            "running": queue.running,
            "holders": [_job_ref(one) for one in facts.holders],
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
        "worker": _job_worker(facts),
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
            "requeued": one.endings.get("requeued", 0),
            "mean_ms": one.mean_ms,
        }
        for one in series
    ]


def stall_group(one: StallGroup) -> StallGroupDocument:
    """Describe all stalls of one cause."""
    return {
        "fingerprint": one.fingerprint,
        "count": one.count,
        "held_ms": one.held_ms,
        "max_ms": one.max_ms,
        "first_at": str(rfc3339(one.first_ms)),
        "last_at": str(rfc3339(one.last_ms)),
        "last": cast("StallDocument", one.last),
    }


def worker(beat: dict[str, Any]) -> dict[str, Any]:
    """Describe a worker by its last heartbeat; times in ms become RFC 3339: `beat` is `beat_at`."""
    document = {name: value for name, value in beat.items() if name not in ("beat", "started")}
    return document | {f"{name}_at": rfc3339(beat[name]) for name in ("started", "beat") if name in beat}


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


def _job_ref(one: JobRef) -> JobRefDocument:
    return {"id": one.id, "function": one.function, "worker": one.worker, "since": rfc3339(one.since_ms)}


def _job_worker(facts: Facts) -> JobWorkerDocument | None:
    record = facts.record
    if record.status is not Status.RUNNING or record.worker is None:
        return None
    beats = [one.beat_ms for one in facts.workers if one.id == record.worker]
    return {"id": record.worker, "since": rfc3339(record.started_ms), "beat_at": rfc3339(beats[0] if beats else None)}
