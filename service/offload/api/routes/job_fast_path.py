"""Looking at one job, past FastAPI: what it does around a route costs twice what the answer does.

Only the plain call, `GET /v1/jobs/{id}` without a query, which is what callers poll; every other is a route of `jobs`.
"""

import re

import orjson
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from offload.api import etags
from offload.api.problems.responses import respond
from offload.api.state import State
from offload.domain import views
from offload.domain.errors import OffloadError

_PATH = re.compile(r"/v1/jobs/([^/]+)")


async def _never(scope: Scope, receive: Receive, send: Send) -> None:  # pragma: no cover - only its path is used
    raise NotImplementedError


ROUTE = Route("/v1/jobs/{job_id}", _never, methods=["GET"])


class FastPath:
    """Answers the plain call itself, and hands on all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_plain = scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]
        match = _PATH.fullmatch(scope["path"]) if is_plain else None
        if match is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = ROUTE  # for the log and the metrics
        try:
            response = await _answer(scope, match[1])
        except OffloadError as error:
            await respond(error, scope, receive, send)
        else:
            await response(scope, receive, send)


async def _answer(scope: Scope, job_id: str) -> Response:
    given: State = scope["app"].state.offload
    record = await given.promptly(given.inspector.get(job_id))
    asked = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"), None)
    return etags.answer(orjson.dumps(views.job(record)), asked)
