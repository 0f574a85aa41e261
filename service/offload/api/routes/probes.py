"""Liveness and readiness probes."""

from fastapi import APIRouter
from starlette.responses import Response
from typing_extensions import TypedDict

from offload.api import documents
from offload.api.problems import responses
from offload.api.state import Given

router = APIRouter(tags=["probes"])


class ProbeDocument(TypedDict):
    """The answer of a probe that succeeds."""

    status: str


@router.get("/livez", operation_id="livez", summary="Liveness probe", responses={200: {"model": ProbeDocument}})
async def livez() -> Response:
    """Return 200 as long as the event loop runs; does not depend on Redis."""
    return documents.answer({"status": "ok"})


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Readiness probe",
    responses={200: {"model": ProbeDocument}, **responses.responses(503)},
)
async def readyz(given: Given) -> Response:
    """Return 200 if Redis answers within a second, else 503."""
    await given.promptly(given.inspector.ready())
    return documents.answer({"status": "ok"})
