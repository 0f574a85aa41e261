"""The outermost middleware: a request id, one log line, security headers, and the answer to unexpected errors."""

import asyncio
import re
import secrets
import time
from collections.abc import Callable

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offload.api.middleware.scopes import KEY
from offload.api.middleware.security_headers import SecurityHeaders
from offload.api.problems import responses
from offload.domain.security.api_keys import ANONYMOUS

log = structlog.get_logger(__name__)

Note = Callable[[str, str, int, float, str], None]
"""Called for each request with method, route template, status, seconds, and the name of the caller's key."""

CLIENT_GONE = 499  # nginx's number for a client that closed the connection before it was answered
_PROBES = frozenset({"/livez", "/readyz"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class AccessLog:
    """Gives each request an id (the caller's `X-Request-ID` where it is a sane one) and logs how it ended.

    The log has the route's template and never a body, a query or a header.
    """

    def __init__(self, app: ASGIApp, hsts_seconds: int = 0, note: Note = lambda *_: None) -> None:
        self._app = app
        self._note = note
        self._security = SecurityHeaders(hsts_seconds)
        self._log = log.bind()  # once: to find the log's configuration takes longer than to drop a line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope[responses.REQUEST_ID] = _request_id(scope)
        tokens = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._serve(scope, receive, send, request_id)
        finally:
            structlog.contextvars.reset_contextvars(**tokens)

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
        except asyncio.CancelledError:  # the server stops, and the time for open requests is over
            if status:
                raise
            await responses.stopping(scope)(scope, receive, send_noted)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception:
            log.exception("request_failed", method=scope["method"], route=_template(scope))
            if status:
                raise  # The server must cut the answer off, so that it is not taken for a complete one.
            await responses.internal(scope)(scope, receive, send_noted)
        finally:
            took = time.monotonic() - started
            self._note(scope["method"], _template(scope), status, took, scope.get(KEY, ANONYMOUS).name)
            write = self._log.debug if scope["path"] in _PROBES else self._log.info
            write("request", method=scope["method"], route=_template(scope), status=status, ms=round(took * 1000, 1))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    return secrets.token_hex(8)


def _template(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "-")
