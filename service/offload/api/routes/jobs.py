"""Jobs over HTTP: get, list, wait, abort, retry, delete."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from offload.api import documents, etags, waiting
from offload.api.background import BackgroundTask
from offload.api.fast_path import FastRoute
from offload.api.filters import FilterDocument, check_once
from offload.api.problems import responses
from offload.api.state import Given, State
from offload.documents.jobs import JobDocument, JobList
from offload.domain import views
from offload.domain.errors import Conflict
from offload.domain.states import Status

PAGE_LIMIT = 200

router = APIRouter(tags=["jobs"])


class Listing(FilterDocument):
    """The query of a list of jobs: filter and page; unknown parameters are refused."""

    limit: int = Field(50, ge=1, le=PAGE_LIMIT, description="Page size.")
    cursor: str | None = Field(None, description="`next` of the previous page.")


class Nothing(BaseModel):
    """No query parameter is known here."""

    model_config = ConfigDict(extra="forbid")


@router.get(
    "/v1/jobs",
    operation_id="list_jobs",
    summary="List jobs",
    responses={200: {"model": JobList}, **responses.responses(422, 503)},
)
async def list_jobs(request: Request, given: Given, listing: Annotated[Listing, Query()]) -> Response:
    """List jobs that match all filters, newest first, without results, failed attempts and logs.

    A page may have fewer jobs than `limit`, even none, and not be the last: rare matches are searched in steps. `next`
    is null only on the last page. A cursor stays valid while jobs change and expire; each job that matches throughout
    is listed exactly once. `args` of jobs that succeeded are stored with their results, and null in a list.
    """
    check_once(request)
    page = await given.promptly(given.inspector.list_jobs(listing.value(), listing.limit, listing.cursor))
    return documents.answer({"items": [views.summary(record) for record in page.items], "next": page.next})


async def _get_job(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with one job as it is, or as it ended if that happens within `wait` seconds."""
    given: State = scope["app"].state.offload
    job_id: str = scope["path_params"]["job_id"]
    wait = waiting.requested(scope["query_string"])
    record = await given.promptly(given.inspector.get(job_id))
    if wait and not record.status.is_terminal:
        ended = waiting.while_connected(receive, given.inspector.wait(job_id, wait))
        record = await given.promptly(ended, wait)
    known = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"), None)
    response = etags.answer(orjson.dumps(views.job(record)), known)
    await response(scope, receive, send)


fast_routes = [FastRoute("GET", "/v1/jobs/{job_id}", _get_job)]
"""Clients poll this one; `openapi` describes it."""


@router.delete(
    "/v1/jobs/{job_id}",
    operation_id="forget_job",
    summary="Delete a job",
    status_code=204,
    responses={204: {"description": "The job is deleted"}, **responses.responses(404, 409, 503)},
)
async def forget_job(job_id: str, given: Given, after: BackgroundTask) -> Response:
    """Delete a finished job: record, failed attempts, log, result. Abort an unfinished one first."""
    await given.promptly(given.client.forget(job_id), part="writes")
    after.audit("job.forget", job_id)
    return Response(status_code=204)


@router.get(
    "/v1/jobs/{job_id}/result",
    operation_id="get_result",
    summary="Get a result",
    responses={200: {"description": "The result as JSON"}, **responses.responses(404, 409, 410, 503)},
)
async def get_result(job_id: str, given: Given) -> Response:
    """Get the result alone: 409 if the job is unfinished or failed, 410 if the result has expired."""
    return Response(await given.promptly(given.inspector.result(job_id)), media_type="application/json")


@router.post(
    "/v1/jobs/{job_id}/abort",
    operation_id="abort_job",
    summary="Abort a job",
    responses={
        200: {"model": JobDocument, "description": "The job is aborted"},
        202: {"model": JobDocument, "description": "The job is running; its worker has been notified"},
        **responses.responses(404, 409, 503),
    },
)
async def abort_job(job_id: str, given: Given, after: BackgroundTask) -> Response:
    """Abort a job: at once if it is waiting, by its worker if it is running. Idempotent."""
    outcome = await given.promptly(given.client.abort(job_id), part="writes")
    if outcome in (Status.SUCCEEDED, Status.DEAD):
        raise Conflict(f"job {job_id} is {outcome}; only an unfinished job can be aborted")
    after.audit("job.abort", job_id)
    record = await given.promptly(given.inspector.get(job_id))
    return documents.answer(views.job(record), 202 if outcome == "aborting" else 200)


@router.post(
    "/v1/jobs/{job_id}/retry",
    operation_id="retry_job",
    summary="Retry a job",
    status_code=202,
    responses={202: {"model": JobDocument}, **responses.responses(404, 409, 503)},
)
async def retry_job(job_id: str, given: Given, after: BackgroundTask) -> Response:
    """Requeue a dead or aborted job, with all its attempts, or run a deferred or retrying one now."""
    await given.promptly(given.client.retry(job_id), part="writes")
    after.audit("job.retry", job_id)
    record = await given.promptly(given.inspector.get(job_id))
    return documents.answer(views.job(record), 202, {"Location": views.location(job_id)})
