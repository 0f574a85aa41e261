"""The fleet over HTTP: workers, counts, who did what, why a job does not run."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from offload.api import documents
from offload.api.problems import responses
from offload.api.state import Given
from offload.domain import reports

router = APIRouter(tags=["fleet"])


class Paging(BaseModel):
    """Which page; an unknown parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="How many entries a page has, at most.")
    cursor: str | None = Field(None, description="The `next` of the page before, as it is.")


class AuditPaging(Paging):
    """Which entries of the audit, and which page of them."""

    action: str | None = Field(
        None, description="Only this action.", examples=["job.abort", "queue.pause", "function.override"]
    )
    who: str | None = Field(None, description="Only what this key, or `cli:<user>`, did.")


@router.get(
    "/v1/jobs/{job_id}/explain",
    operation_id="explain_job",
    summary="Why is it not running?",
    tags=["jobs"],
    responses={200: {"model": reports.ExplanationDocument}, **responses.responses(404, 503)},
)
async def explain_job(job_id: str, given: Given) -> Response:
    """Say why a job is not running, in one sentence for a person and as facts for a program.

    The facts: its place in the queue and what is before it, a pause, limits and who holds them, which workers serve the
    queue and know the function, when it is due, where it runs, how it ended.
    """
    return documents.answer(reports.explanation(await given.promptly(given.inspector.explain(job_id))))


@router.get(
    "/v1/workers",
    operation_id="list_workers",
    summary="List workers",
    responses={200: {"model": documents.WorkerList}, **responses.responses(503)},
)
async def list_workers(given: Given) -> Response:
    """List the live workers, each as it describes itself."""
    workers = await given.promptly(given.inspector.workers())
    return documents.answer({"items": [documents.worker(about) for about in workers], "next": None})


@router.get(
    "/v1/stats",
    operation_id="get_stats",
    summary="Count jobs",
    responses={200: {"model": reports.StatsDocument}, **responses.responses(503)},
)
async def get_stats(given: Given) -> Response:
    """Count kept jobs by status, and how attempts ended.

    That is by function in the last 24 hours, and in each of the last 60 minutes and 24 hours.
    """
    summary = await given.promptly(given.inspector.stats())
    minutes = reports.points(await given.promptly(given.inspector.series("minute")))
    hours = reports.points(await given.promptly(given.inspector.series("hour")))
    counts = {"statuses": summary["statuses"], "functions": summary["functions"]}
    return documents.answer({**counts, "minutes": minutes, "hours": hours})


@router.get(
    "/v1/audit",
    operation_id="list_audit",
    summary="Who did what",
    responses={200: {"model": reports.AuditList}, **responses.responses(422, 503)},
)
async def list_audit(given: Given, paging: Annotated[AuditPaging, Query()]) -> Response:
    """List who did what, newest first.

    That is aborts, retries, forgotten jobs, bulk calls, pauses, schedules run by hand, functions moved.

    The last 10,000 or so are kept. An entry is written after its call was answered.
    """
    entries = given.inspector.audit(paging.limit, paging.cursor, paging.action, paging.who)
    items, following = await given.promptly(entries)
    return documents.answer({"items": items, "next": following})
