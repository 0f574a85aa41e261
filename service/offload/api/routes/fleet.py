"""The fleet over HTTP: workers, statistics, the audit log, explanations of jobs."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from offload.api import documents
from offload.api.problems import responses
from offload.api.state import Given
from offload.documents.explanations import ExplanationDocument
from offload.documents.fleet import AuditList, StatsDocument, WorkerList
from offload.domain import views

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
    responses={200: {"model": ExplanationDocument}, **responses.responses(404, 503)},
)
async def explain_job(job_id: str, given: Given) -> Response:
    """Explain why a job is not running: one sentence for a person, and facts for a program.

    Facts: its position in the queue and the jobs before it, a pause, limits and the jobs that use them, the workers
    that serve the queue and know the function, the due time, the worker that runs it, how it ended.
    """
    return documents.answer(views.explanation(await given.promptly(given.inspector.explain(job_id))))


@router.get(
    "/v1/workers",
    operation_id="list_workers",
    summary="List workers",
    responses={200: {"model": WorkerList}, **responses.responses(503)},
)
async def list_workers(given: Given) -> Response:
    """List live workers, as of their last heartbeat."""
    workers = await given.promptly(given.inspector.workers())
    return documents.answer({"items": [views.worker(beat) for beat in workers], "next": None})


@router.get(
    "/v1/stats",
    operation_id="get_stats",
    summary="Get statistics",
    responses={200: {"model": StatsDocument}, **responses.responses(503)},
)
async def get_stats(given: Given) -> Response:
    """Count jobs by status, and ended attempts by outcome.

    Attempts are counted by function for the last 24 hours, and for each of the last 60 minutes and 24 hours.
    """
    summary = await given.promptly(given.inspector.stats())
    minutes = views.points(await given.promptly(given.inspector.series("minute")))
    hours = views.points(await given.promptly(given.inspector.series("hour")))
    counts = {"statuses": summary["statuses"], "functions": summary["functions"]}
    return documents.answer({**counts, "minutes": minutes, "hours": hours})


@router.get(
    "/v1/audit",
    operation_id="list_audit",
    summary="List the audit log",
    responses={200: {"model": AuditList}, **responses.responses(422, 503)},
)
async def list_audit(given: Given, paging: Annotated[AuditPaging, Query()]) -> Response:
    """List operator actions with the key that did them, newest first.

    Actions: aborts, retries, deleted jobs, bulk calls, pauses, schedules run by hand, moved functions.

    About 10,000 entries are kept. An entry is written after its call was answered.
    """
    entries = given.inspector.audit(paging.limit, paging.cursor, paging.action, paging.who)
    items, following = await given.promptly(entries)
    return documents.answer({"items": items, "next": following})
