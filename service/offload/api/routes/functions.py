"""Job functions over HTTP: the catalogue, and moving one elsewhere. `offload.api.routes.enqueue` enqueues."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from offload.api import documents
from offload.api.asgi import headers_of, json_of
from offload.api.background import BackgroundTask
from offload.api.problems import responses
from offload.api.problems.request_errors import InvalidParameters
from offload.api.state import Given, State
from offload.documents.functions import FunctionDocument, FunctionList
from offload.domain import views
from offload.domain.arguments import field_errors

router = APIRouter(tags=["functions"])


class MoveRequest(BaseModel):
    """The executor of a job function."""

    model_config = ConfigDict(extra="forbid")

    runs_in: Literal["thread", "process"] | None = Field(
        description="`thread` or `process`; null resets it to what the code declares.", examples=["process"]
    )


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": MoveRequest.model_json_schema(), "example": {"runs_in": "process"}}},
    }
}


@router.get(
    "/v1/functions",
    operation_id="list_functions",
    summary="List job functions",
    responses={200: {"model": FunctionList}, **responses.responses(503)},
)
async def list_functions(given: Given) -> Response:
    """List all job functions by name, with schemas, policies and recent counts."""
    catalogue, function_stats = given.inspector.catalogue, await given.promptly(given.inspector.recent())
    moved = await given.promptly(given.inspector.overrides())
    items = [
        views.function(catalogue.functions[name], given.defaults, function_stats.get(name), moved.get(name))
        for name in sorted(catalogue.functions)
    ]
    return documents.answer({"items": items, "next": None})


@router.get(
    "/v1/functions/{name}",
    operation_id="get_function",
    summary="Get a job function",
    responses={200: {"model": FunctionDocument}, **responses.responses(404, 503)},
)
async def get_function(name: str, given: Given) -> Response:
    """Get one job function: JSON schemas of arguments and result, queue, policy, recent counts."""
    return await _described(name, given)


@router.post(
    "/v1/functions/{name}",
    operation_id="move_function",
    summary="Move a job function",
    responses={200: {"model": FunctionDocument}, **responses.responses(400, 404, 409, 413, 415, 422, 503)},
    openapi_extra=_BODY,
)
async def move_function(name: str, request: Request, given: Given, after: BackgroundTask) -> Response:
    """Run a `def` job function in a thread or in a process, overriding its code without a deployment.

    Applies to all workers from the next start of each job, across restarts, until reset with null. Running jobs are not
    affected. An `async def` cannot be moved, nor can a function that a child process could not import.
    """
    try:
        asked = MoveRequest.model_validate(json_of(await request.body(), headers_of(request.scope)))
    except ValidationError as error:
        raise InvalidParameters(field_errors(error)) from None
    changed = await given.promptly(given.operations.move_function(name, asked.runs_in, after.who), part="writes")
    after.audit("function.override", name, runs_in=asked.runs_in, changed=changed)
    return await _described(name, given)


async def _described(name: str, given: State) -> Response:
    function = given.inspector.catalogue.function(name)
    function_stats = await given.promptly(given.inspector.recent())
    moved = await given.promptly(given.inspector.overrides())
    return documents.answer(views.function(function, given.defaults, function_stats.get(name), moved.get(name)))
