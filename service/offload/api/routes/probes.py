"""Probes: is the process alive, can it serve."""

from fastapi import APIRouter
from starlette.responses import Response
from typing_extensions import TypedDict

from offload.api import documents
from offload.api.problems import responses
from offload.api.state import Given

router = APIRouter(tags=["probes"])


class ProbeDocument(TypedDict):
    """What a probe says when all is well."""

    status: str


@router.get("/livez", operation_id="livez", summary="Is the process alive?", responses={200: {"model": ProbeDocument}})
async def livez() -> Response:
    """Answer as long as the event loop turns; Redis is not asked."""
    return documents.answer({"status": "ok"})


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Can it serve?",
    responses={200: {"model": ProbeDocument}, **responses.responses(503)},
)
async def readyz(given: Given) -> Response:
    """Answer 200 when Redis answers within a second, else 503."""
    await given.promptly(given.inspector.ready())
    return documents.answer({"status": "ok"})
