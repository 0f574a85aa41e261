"""Jobs over HTTP: look at one, list them, wait, abort, retry, forget."""

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
from offload.domain.errors import Conflict
from offload.domain.states import Status

PAGE_LIMIT = 200

router = APIRouter(tags=["jobs"])


class Listing(FilterDocument):
    """Which jobs, and which page of them; an unknown filter is refused, for it would show all."""

    limit: int = Field(50, ge=1, le=PAGE_LIMIT, description="How many jobs a page has.")
    cursor: str | None = Field(None, description="The `next` of the page before, as it is.")


class Nothing(BaseModel):
    """No query parameter is known here."""

    model_config = ConfigDict(extra="forbid")


@router.get(
    "/v1/jobs",
    operation_id="list_jobs",
    summary="List jobs",
    responses={200: {"model": documents.JobList}, **responses.responses(422, 503)},
)
async def list_jobs(request: Request, given: Given, listing: Annotated[Listing, Query()]) -> Response:
    """List jobs that fit all filters, newest first, without results, failed attempts and logs.

    A page may have fewer jobs than `limit`, even none, before the last: where what fits is rare, it is looked for in
    steps. `next` is null on the last page only. A cursor stays good while jobs move and go: following `next` shows each
    job that fits all the while once. The `args` of a job that succeeded are with its result, and null in a list.
    """
    check_once(request)
    page = await given.promptly(given.inspector.page(listing.value(), listing.limit, listing.cursor))
    return documents.answer({"items": [documents.summary(record) for record in page.items], "next": page.next})


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
    response = etags.answer(orjson.dumps(documents.job(record)), known)
    await response(scope, receive, send)


fast_routes = [FastRoute("GET", "/v1/jobs/{job_id}", _get_job)]
"""Clients poll this one; `openapi` describes it."""


@router.delete(
    "/v1/jobs/{job_id}",
    operation_id="forget_job",
    summary="Forget a job",
    status_code=204,
    responses={204: {"description": "Nothing of it is kept any more"}, **responses.responses(404, 409, 503)},
)
async def forget_job(job_id: str, given: Given, after: BackgroundTask) -> Response:
    """Remove all that is kept of a job that has ended: record, failed attempts, log, result. Else abort it first."""
    await given.promptly(given.client.forget(job_id), part="writes")
    after.audit("job.forget", job_id)
    return Response(status_code=204)


@router.get(
    "/v1/jobs/{job_id}/result",
    operation_id="get_result",
    summary="Fetch a result",
    responses={200: {"description": "The bare result, as JSON"}, **responses.responses(404, 409, 410, 503)},
)
async def get_result(job_id: str, given: Given) -> Response:
    """Fetch the bare result: 409 while the job is unfinished or failed, 410 when it is no longer kept."""
    return Response(await given.promptly(given.inspector.result(job_id)), media_type="application/json")


@router.post(
    "/v1/jobs/{job_id}/abort",
    operation_id="abort_job",
    summary="Abort a job",
    responses={
        200: {"model": documents.JobDocument, "description": "It is aborted"},
        202: {"model": documents.JobDocument, "description": "It runs, and its worker has been told"},
        **responses.responses(404, 409, 503),
    },
)
async def abort_job(job_id: str, given: Given, after: BackgroundTask) -> Response:
    """Stop a job: at once where it waits, by its worker where it runs. An aborted job can be aborted again."""
    said = await given.promptly(given.client.abort(job_id), part="writes")
    if said in (Status.SUCCEEDED, Status.DEAD):
        raise Conflict(f"job {job_id} is {said}; only a job that has not ended can be aborted")
    after.audit("job.abort", job_id)
    record = await given.promptly(given.inspector.get(job_id))
    return documents.answer(documents.job(record), 202 if said == "aborting" else 200)


@router.post(
    "/v1/jobs/{job_id}/retry",
    operation_id="retry_job",
    summary="Retry a job",
    status_code=202,
    responses={202: {"model": documents.JobDocument}, **responses.responses(404, 409, 503)},
)
async def retry_job(job_id: str, given: Given, after: BackgroundTask) -> Response:
    """Put a dead or aborted job back, with all its attempts, or run a deferred or retrying one now."""
    await given.promptly(given.client.retry(job_id), part="writes")
    after.audit("job.retry", job_id)
    record = await given.promptly(given.inspector.get(job_id))
    return documents.answer(documents.job(record), 202, {"Location": documents.location(job_id)})
