"""Bulk retry and abort of the jobs that match a filter, with a dry run that counts them."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from offload.api import documents
from offload.api.asgi import headers_of, json_of
from offload.api.background import BackgroundTask
from offload.api.filters import FilterDocument
from offload.api.problems import responses
from offload.api.problems.request_errors import InvalidParameters
from offload.api.state import Given
from offload.documents.jobs import BulkDocument
from offload.domain import views
from offload.domain.arguments import field_errors
from offload.domain.errors import FieldError
from offload.domain.filters import BulkOutcome, Filter

MOST = 10_000
PATIENCE_S = 5.0

_DEFINED = "#/$defs/"

router = APIRouter(tags=["jobs"])


class BulkRequest(BaseModel):
    """The body of a bulk call."""

    model_config = ConfigDict(extra="forbid")

    filter: FilterDocument = Field(description="Selects the jobs; at least one field is required.")
    dry_run: bool = Field(default=False, strict=True, description="Only count the jobs.")
    limit: int = Field(default=1000, strict=True, ge=1, le=MOST, description="Maximum number of jobs to change.")


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a body with its definitions in place, as OpenAPI can show it."""
    whole = model.model_json_schema()
    definitions = whole.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(one) for one in part]
        if not isinstance(part, dict):
            return part
        if str(part.get("$ref", "")).startswith(_DEFINED):
            rest = {name: value for name, value in part.items() if name != "$ref"}
            return {**inlined(definitions[part["$ref"].removeprefix(_DEFINED)]), **rest}
        return {name: inlined(value) for name, value in part.items()}

    shape: dict[str, Any] = inlined(whole)
    return shape


_EXAMPLE = {"filter": {"status": "dead", "function": "mail.send"}, "dry_run": True}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _schema(BulkRequest), "example": _EXAMPLE}},
    }
}
_ANSWERS: Mapping[int | str, dict[str, Any]] = {
    200: {"model": BulkDocument},
    **responses.responses(400, 413, 415, 422, 503),
}


@router.post(
    "/v1/jobs:retry",
    operation_id="retry_jobs",
    summary="Retry jobs by filter",
    responses=dict(_ANSWERS),
    openapi_extra=_BODY,
)
async def retry_jobs(request: Request, given: Given, after: BackgroundTask) -> Response:
    """Requeue dead and aborted jobs, or only those with the filter's `status`; retrying and deferred ones run now.

    The newest come first. A call is limited to a few seconds: while `more` is true, call again.
    """
    which, asked = await _read(request)
    work = given.client.retry_all(which, asked.limit, dry_run=asked.dry_run)
    outcome = await given.promptly(work, PATIENCE_S, "reads" if asked.dry_run else "writes")
    return _answer(outcome, asked, "jobs.retry", after)


@router.post(
    "/v1/jobs:abort",
    operation_id="abort_jobs",
    summary="Abort jobs by filter",
    responses=dict(_ANSWERS),
    openapi_extra=_BODY,
)
async def abort_jobs(request: Request, given: Given, after: BackgroundTask) -> Response:
    """Abort unfinished jobs that match: waiting ones at once, running ones by their workers.

    The newest come first. A call is limited to a few seconds: while `more` is true, call again.
    """
    which, asked = await _read(request)
    work = given.client.abort_all(which, asked.limit, dry_run=asked.dry_run)
    outcome = await given.promptly(work, PATIENCE_S, "reads" if asked.dry_run else "writes")
    return _answer(outcome, asked, "jobs.abort", after)


async def _read(request: Request) -> tuple[Filter, BulkRequest]:
    try:
        asked = BulkRequest.model_validate(json_of(await request.body(), headers_of(request.scope)))
    except ValidationError as error:
        raise InvalidParameters(field_errors(error)) from None
    which = asked.filter.value()
    if which.is_empty:
        known = ", ".join(FilterDocument.model_fields)
        fault = f"must not be empty, since that matches every job; give at least one of {known}"
        raise InvalidParameters([FieldError("filter", fault, "empty_filter")])
    return which, asked


def _answer(outcome: BulkOutcome, asked: BulkRequest, action: str, after: BackgroundTask) -> Response:
    if not outcome.is_dry_run:
        criteria = asked.filter.model_dump(mode="json", exclude_none=True)
        after.audit(action, "jobs", outcome.done, filter=criteria, matched=outcome.matched)
    return documents.answer(views.bulk(outcome))
