"""Job functions over HTTP: what there is, and putting a job in.

One route enqueues for all functions; `openapi` documents it as one typed operation for each.
"""

from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api import documents, options, problems
from service.api.problems import BodyNotJson, WrongMediaType
from service.api.state import Given, state_of
from service.domain.errors import FieldError, InvalidArguments

router = APIRouter(tags=["functions"])


@router.get(
    "/v1/functions",
    operation_id="list_functions",
    summary="List job functions",
    responses={200: {"model": documents.FunctionList}, **problems.responses(503)},
)
async def list_functions(given: Given) -> Response:
    """List all job functions by name, with their schemas, policies and recent endings."""
    catalogue, recent = given.inspector.catalogue, (await given.promptly(given.inspector.stats()))["functions"]
    items = [
        documents.function(catalogue.functions[name], given.defaults, recent.get(name, {}))
        for name in sorted(catalogue.functions)
    ]
    return documents.answer({"items": items, "next": None})


@router.get(
    "/v1/functions/{name}",
    operation_id="get_function",
    summary="Describe a job function",
    responses={200: {"model": documents.FunctionDocument}, **problems.responses(404, 503)},
)
async def get_function(name: str, given: Given) -> Response:
    """Describe one job function: JSON schemas of its arguments and result, queue, policy, recent endings."""
    function = given.inspector.catalogue.function(name)
    recent = (await given.promptly(given.inspector.stats()))["functions"]
    return documents.answer(documents.function(function, given.defaults, recent.get(name, {})))


@router.post("/v1/functions/{name}/jobs", include_in_schema=False, status_code=202)
async def enqueue(name: str, request: Request) -> Response:
    """Put one job in; it is durable when this answers."""
    given = state_of(request)
    given.inspector.catalogue.function(name)
    wanted = options.parse(request.query_params)
    arguments = await _arguments(name, request)
    stored = given.client.enqueue(name, arguments, wanted)
    done = await given.promptly(stored, given.client.longest_confirmation, "writes")
    return documents.answer(documents.job(done.record), 202, {"Location": documents.location(done.id)})


async def _arguments(name: str, request: Request) -> dict[str, Any]:
    """Read the body: one JSON object, or nothing at all where no argument is given.

    A browser can send a body from another site without asking only as long as it is not declared as JSON.
    """
    body = await request.body()
    if not body:
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise WrongMediaType(
            f"the body is declared as {media_type or 'nothing'!r}; send `Content-Type: application/json`"
        )
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyNotJson(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if not isinstance(given, dict):
        fault = FieldError("", "the arguments must be one JSON object", "object_type")
        raise InvalidArguments(name, [fault])
    return given
