"""Job functions over HTTP: what there is. Putting a job in is `service.api.enqueue`."""

from fastapi import APIRouter
from starlette.responses import Response

from service.api import documents, problems
from service.api.state import Given

router = APIRouter(tags=["functions"])


@router.get(
    "/v1/functions",
    operation_id="list_functions",
    summary="List job functions",
    responses={200: {"model": documents.FunctionList}, **problems.responses(503)},
)
async def list_functions(given: Given) -> Response:
    """List all job functions by name, with their schemas, policies and recent endings."""
    catalogue, recent = given.inspector.catalogue, await given.promptly(given.inspector.recent())
    items = [
        documents.function(catalogue.functions[name], given.defaults, recent.get(name))
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
    recent = await given.promptly(given.inspector.recent())
    return documents.answer(documents.function(function, given.defaults, recent.get(name)))
