"""The fleet over HTTP: workers, statistics, the audit log, explanations of jobs."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from offload.api import documents
from offload.api.problems import responses
from offload.api.state import Given
from offload.domain import reports
from offload.domain.clock import rfc3339

router = APIRouter(tags=["fleet"])


class Paging(BaseModel):
    """The page of a list; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="Maximum page size.")
    cursor: str | None = Field(None, description="`next` of the previous page.")


class AuditPaging(Paging):
    """The query of the audit log."""

    action: str | None = Field(
        None, description="Only this action.", examples=["job.abort", "queue.pause", "function.override"]
    )
    who: str | None = Field(None, description="Only actions by this key, or by `cli:<user>`.")


@router.get(
    "/v1/jobs/{job_id}/explain",
    operation_id="explain_job",
    summary="Explain a job",
    tags=["jobs"],
    responses={200: {"model": reports.ExplanationDocument}, **responses.responses(404, 503)},
)
async def explain_job(job_id: str, given: Given) -> Response:
    """Explain why a job is not running: one sentence for a person, and facts for a program.

    Facts: its position in the queue and the jobs before it, a pause, limits and the jobs that use them, the workers
    that serve the queue and know the function, the due time, the worker that runs it, how it ended.
    """
    return documents.answer(reports.explanation(await given.promptly(given.inspector.explain(job_id))))


@router.get(
    "/v1/workers",
    operation_id="list_workers",
    summary="List workers",
    responses={200: {"model": documents.WorkerList}, **responses.responses(503)},
)
async def list_workers(given: Given) -> Response:
    """List live workers, as of their last heartbeat."""
    workers = await given.promptly(given.inspector.workers())
    return documents.answer({"items": [_timed(about) for about in workers], "next": None})


@router.get(
    "/v1/stats",
    operation_id="get_stats",
    summary="Get statistics",
    responses={200: {"model": reports.StatsDocument}, **responses.responses(503)},
)
async def get_stats(given: Given) -> Response:
    """Count jobs by status, and ended attempts by outcome.

    Attempts are counted by function for the last 24 hours, and for each of the last 60 minutes and 24 hours.
    """
    summary = await given.promptly(given.inspector.stats())
    minutes = reports.points(await given.promptly(given.inspector.series("minute")))
    hours = reports.points(await given.promptly(given.inspector.series("hour")))
    counts = {"statuses": summary["statuses"], "functions": summary["functions"]}
    return documents.answer({**counts, "minutes": minutes, "hours": hours})


@router.get(
    "/v1/audit",
    operation_id="list_audit",
    summary="List the audit log",
    responses={200: {"model": reports.AuditList}, **responses.responses(422, 503)},
)
async def list_audit(given: Given, paging: Annotated[AuditPaging, Query()]) -> Response:
    """List operator actions with the key that did them, newest first.

    Actions: aborts, retries, deleted jobs, bulk calls, pauses, schedules run by hand, moved functions.

    About 10,000 entries are kept. An entry is written after its call was answered.
    """
    entries = given.inspector.audit(paging.limit, paging.cursor, paging.action, paging.who)
    items, following = await given.promptly(entries)
    return documents.answer({"items": items, "next": following})


def _timed(about: dict[str, Any]) -> dict[str, Any]:
    """Convert a worker's times from ms to RFC 3339: `beat` becomes `beat_at`, `started` `started_at`."""
    shown = {name: value for name, value in about.items() if name not in ("beat", "started")}
    return shown | {f"{name}_at": rfc3339(about[name]) for name in ("started", "beat") if name in about}
