"""Probes, and the pages that problem types point to."""

from html import escape

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response
from typing_extensions import TypedDict

from service.api import documents, problems
from service.api.state import Given
from service.domain.errors import NotFound

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
    responses={200: {"model": ProbeDocument}, **problems.responses(503)},
)
async def readyz(given: Given) -> Response:
    """Answer 200 when Redis answers within a second, else 503."""
    await given.inspector.ready()
    return documents.answer({"status": "ok"})


@router.get("/problems/{slug}", include_in_schema=False)
async def explain_problem(slug: str) -> Response:
    """Say what a problem type means: the page that a problem's `type` names."""
    kind = problems.KINDS.get(slug)
    if kind is None:
        raise NotFound("problem type", slug)
    title = escape(f"{kind.status} {kind.title}")
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<h1>{title}</h1><p><code>{escape(kind.uri)}</code></p><p>{escape(kind.about)}</p>",
        headers={"Content-Security-Policy": "default-src 'none'"},
    )
