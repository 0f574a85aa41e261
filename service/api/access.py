"""What happens around every request: an id, one log line, headers, and the answer to what nobody foresaw."""

import re
import secrets
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import problems
from service.api.headers import SecurityHeaders

log = structlog.get_logger(__name__)

Note = Callable[[str, str, int, float], None]
"""Is told of each request: method, route template, status, seconds."""

CLIENT_GONE = 499  # nginx's number for a client that closed the connection before it was answered
_PROBES = frozenset({"/livez", "/readyz"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Access:
    """Gives each request an id (the caller's `X-Request-ID` where it is a sane one) and logs how it ended.

    The log has the route's template and never a body, a query or a header.
    """

    def __init__(self, app: ASGIApp, hsts_seconds: int = 0, note: Note = lambda *_: None) -> None:
        self._app = app
        self._note = note
        self._security = SecurityHeaders(hsts_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope[problems.REQUEST_ID] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        status, started = 0, time.monotonic()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._security.add(message, (b"x-request-id", request_id.encode()), is_tls=scope["scheme"] == "https")
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception:
            log.exception("request_failed", method=scope["method"], route=_template(scope))
            if status:
                raise  # The server must cut the answer off, so that nobody takes it for a whole one.
            await problems.internal(scope)(scope, receive, send_noted)
        finally:
            took = time.monotonic() - started
            self._note(scope["method"], _template(scope), status, took)
            _log(scope, status, took * 1000)


def _log(scope: Scope, status: int, took_ms: float) -> None:
    write = log.debug if scope["path"] in _PROBES else log.info
    write("request", method=scope["method"], route=_template(scope), status=status, ms=round(took_ms, 1))


def _template(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "-")
