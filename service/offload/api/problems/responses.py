"""Errors as RFC 9457 problems: `types` has the table, `request_errors` the errors of HTTP requests."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from offload.api.problems.request_errors import (
    BodyTooSlow,
    InsufficientScope,
    InvalidParameters,
    RangeOutside,
    TooManyFailures,
    Unauthorized,
)
from offload.api.problems.types import INTERNAL, NO_PATH, STOPPING, TABLE, WRONG_METHOD, Kind
from offload.domain.errors import FieldError, IdempotencyKeyInUse, OffloadError, Unavailable, Unconfirmed

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "offload.request_id"  # the key in the ASGI scope
RETRY_AFTER_S = 2


def kind_of(error: OffloadError) -> Kind | None:
    """Return the nearest entry of the table, or None for an error that is not the caller's."""
    return next((TABLE[cls] for cls in type(error).__mro__ if cls in TABLE), None)


def problem(
    scope: Scope,
    kind: Kind,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the response; `errors` are the invalid fields, without their values."""
    body: dict[str, Any] = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": quote(scope["path"], safe="/:@!$&'()*+,;="),
    }
    if errors:
        body["errors"] = [{"path": e.path, "message": e.message, "code": e.code} for e in errors]
    if request_id := scope.get(REQUEST_ID):
        body["request_id"] = request_id
    return Response(orjson.dumps(body), kind.status, headers, MEDIA_TYPE)


def refusal(scope: Scope, error: OffloadError) -> Response | None:
    """Build the problem of an error, or return None if the table has none."""
    kind = kind_of(error)
    if kind is None:
        return None
    headers: dict[str, str] = {}
    detail = str(error)
    match error:
        case IdempotencyKeyInUse():
            headers["Retry-After"] = "1"
        case Unconfirmed():
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case Unavailable():
            detail = "Redis is unreachable or rejects commands; retry soon"  # its address is not for callers
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case Unauthorized():
            headers["WWW-Authenticate"] = "Bearer"
        case InsufficientScope(needed=needed):  # RFC 6750, 3.1
            headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{needed}"'
        case TooManyFailures(wait=wait):
            headers["Retry-After"] = str(wait)
        case BodyTooSlow():
            headers["Connection"] = "close"  # the rest of the body would be taken for the next request
        case RangeOutside(size=size):
            headers["Content-Range"] = f"bytes */{size}"
        case _:
            pass
    return problem(scope, kind, detail, errors=getattr(error, "fields", ()), headers=headers)


async def respond(error: OffloadError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an error outside FastAPI's routes; an error that is not in the table is raised."""
    response = refusal(scope, error)
    if response is None:
        raise error
    await response(scope, receive, send)


def internal(scope: Scope) -> Response:
    """Build the answer to an unexpected error; it reveals nothing internal."""
    return problem(scope, INTERNAL, "internal error; the service's log has details under the request id")


def stopping(scope: Scope) -> Response:
    """Build the answer to a request that is cut off by a shutdown."""
    return problem(scope, STOPPING, "this process is shutting down; retry", headers={"Retry-After": "1"})


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an error of ours; an error that is not in the table is raised and ends as 500."""
    response = refusal(request.scope, error) if isinstance(error, OffloadError) else None
    if response is None:
        raise error
    return response


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer FastAPI's errors of parameters, without the values."""
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    fields = [FieldError(".".join(str(part) for part in e["loc"][1:]), e["msg"], e["type"]) for e in found]
    return await on_error(request, InvalidParameters(fields))


async def on_http(request: Request, error: Exception) -> Response:
    """Answer the errors that Starlette raises: no route, wrong method."""
    if not isinstance(error, HTTPException):
        raise error
    method, path = request.method, request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem(request.scope, NO_PATH, f"no resource at {path}")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = {"Allow": ", ".join(_allowed(request))}
        return problem(request.scope, WRONG_METHOD, f"{path} does not support {method}", headers=allowed)
    kind = Kind("", error.status_code, HTTPStatus(error.status_code).phrase, "")
    return problem(request.scope, kind, str(error.detail), headers=error.headers)


def _allowed(request: Request) -> list[str]:
    """Return the methods that a path takes, over all routes: Starlette names those of the first alone."""
    routes = request.app.router.routes
    found = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return ["GET", "HEAD", *found[1:]] if "GET" in found else found


HANDLERS: dict[Any, Any] = {OffloadError: on_error, RequestValidationError: on_invalid, HTTPException: on_http}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of the problems that an operation answers with, and of all others as `default`."""
    return {
        **{status: _response(HTTPStatus(status).phrase) for status in statuses},
        "default": _response("Any other problem"),
    }


def schema() -> dict[str, Any]:
    """Return the JSON schema of a problem, for the components of OpenAPI."""
    fault = {name: {"type": "string"} for name in ("path", "message", "code")}
    return {
        "type": "object",
        "description": "RFC 9457. `type` is stable and links to a page that explains it.",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string", "format": "uri-reference"},
            "request_id": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object", "required": [*fault], "properties": fault}},
        },
    }


def _response(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
