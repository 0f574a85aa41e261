"""What goes wrong, as RFC 9457 problems: the one table from error class to status, type and title.

Errors that only HTTP knows:

InvalidRequest
├── InvalidParameters    a query parameter or header is wrong; `fields` names each
├── BodyNotJson          the body cannot be read as JSON
├── BodyTooLarge         the body is over OFFLOAD_MAX_BODY_BYTES
├── WrongMediaType       the body is not declared as JSON
└── RangeOutside         the range asked for lies outside the file
Unauthorized             no key, or a wrong one
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from service.domain.errors import (
    Conflict,
    FieldError,
    InvalidArguments,
    InvalidOptions,
    InvalidRequest,
    JobFailed,
    NotFinished,
    NotFound,
    OffloadError,
    ResultExpired,
    Unavailable,
    Unconfirmed,
    UnknownFunction,
)

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "offload.request_id"  # the key in the ASGI scope
RETRY_AFTER_S = 2


class InvalidParameters(InvalidRequest):
    """A query parameter or a header is wrong; `fields` names each."""

    def __init__(self, fields: Sequence[FieldError]) -> None:
        self.fields = tuple(fields)
        super().__init__("; ".join(f"{field.path}: {field.message}" for field in self.fields))


class BodyNotJson(InvalidRequest):
    """The body cannot be read as JSON."""


class BodyTooLarge(InvalidRequest):
    """The body is over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the {limit} bytes that are taken (OFFLOAD_MAX_BODY_BYTES)")


class WrongMediaType(InvalidRequest):
    """The body is not declared as JSON."""


class RangeOutside(InvalidRequest):
    """The range asked for lies outside the file."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the range begins after the end of the file, which has {size} bytes")


class Unauthorized(OffloadError):
    """No key, or a wrong one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of problem: its `type` is `/problems/<slug>`, where `about` can be read; none of them ever changes."""

    slug: str
    status: int
    title: str
    about: str

    @property
    def uri(self) -> str:
        """The `type` of RFC 9457, a reference relative to the API."""
        return f"/problems/{self.slug}" if self.slug else "about:blank"


INTERNAL = Kind("internal-error", 500, "Internal error", "A fault of the service. The log has it under `request_id`.")
NO_PATH = Kind("unknown-path", 404, "No such path", "There is nothing at this path; `/docs` lists what there is.")
WRONG_METHOD = Kind(
    "method-not-allowed",
    405,
    "Method not allowed",
    "The path exists, but not for this method; `Allow` has those it takes.",
)
INVALID_PARAMETERS = Kind(
    "invalid-parameters",
    422,
    "Invalid parameters",
    "A query parameter or header is unknown or out of its range; `errors` names each where it can be named.",
)

TABLE: dict[type[OffloadError], Kind] = {
    BodyNotJson: Kind("malformed-json", 400, "Malformed JSON", "The body cannot be read as JSON; `detail` says where."),
    Unauthorized: Kind(
        "unauthorized", 401, "Unauthorized", "Send one of the service's keys as `Authorization: Bearer <key>`."
    ),
    UnknownFunction: Kind(
        "unknown-function", 404, "Unknown job function", "No job function has this name; `GET /v1/functions` lists all."
    ),
    NotFound: Kind("not-found", 404, "Not found", "There never was such a job or file, or it is no longer kept."),
    Conflict: Kind("conflict", 409, "Conflict", "The job is in a state that does not allow this."),
    NotFinished: Kind(
        "not-finished",
        409,
        "Not finished",
        "The job has no result yet. Wait with `GET /v1/jobs/{id}?wait=20`, or follow its events.",
    ),
    JobFailed: Kind(
        "job-failed",
        409,
        "Job failed",
        "The job is dead or aborted and will have no result; its document has the error.",
    ),
    ResultExpired: Kind(
        "result-expired", 410, "Result expired", "The job succeeded, but its result is no longer kept (`keep_result`)."
    ),
    BodyTooLarge: Kind("body-too-large", 413, "Body too large", "The body is over `OFFLOAD_MAX_BODY_BYTES`."),
    WrongMediaType: Kind(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        "A body must be sent as `Content-Type: application/json`.",
    ),
    RangeOutside: Kind("range-not-satisfiable", 416, "Range not satisfiable", "The range begins after the file's end."),
    InvalidArguments: Kind(
        "invalid-arguments",
        422,
        "Invalid arguments",
        "The body does not fit the signature of the job function; `errors` has path, message and code of each fault.",
    ),
    InvalidParameters: INVALID_PARAMETERS,
    InvalidOptions: INVALID_PARAMETERS,
    Unavailable: Kind(
        "redis-unavailable",
        503,
        "Redis unavailable",
        "Redis cannot be reached or refuses to serve. Try again after `Retry-After` seconds.",
    ),
    Unconfirmed: Kind(
        "enqueue-unconfirmed",
        503,
        "Stored, not confirmed",
        "The job is stored and may run, but replicas or disks did not confirm it in time (`OFFLOAD_ENQUEUE_REPLICAS`, "
        "`OFFLOAD_ENQUEUE_FSYNC`); `detail` has its id. Trying again with the same id adds no second one.",
    ),
}

KINDS: dict[str, Kind] = {kind.slug: kind for kind in (*TABLE.values(), NO_PATH, WRONG_METHOD, INTERNAL)}


def kind_of(error: OffloadError) -> Kind | None:
    """Return the nearest entry of the table, or None for what no caller can be blamed for."""
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
        "instance": quote(scope["path"]),
    }
    if errors:
        body["errors"] = [{"path": e.path, "message": e.message, "code": e.code} for e in errors]
    if request_id := scope.get(REQUEST_ID):
        body["request_id"] = request_id
    return Response(orjson.dumps(body), kind.status, headers, MEDIA_TYPE)


def refusal(scope: Scope, error: OffloadError) -> Response | None:
    """Build the problem of an error, or return None where the table has none."""
    kind = kind_of(error)
    if kind is None:
        return None
    headers: dict[str, str] = {}
    detail = str(error)
    match error:
        case Unconfirmed():
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case Unavailable():
            detail = "Redis cannot be reached or refuses to serve; try again soon"  # its address is nobody's business
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case Unauthorized():
            headers["WWW-Authenticate"] = "Bearer"
        case RangeOutside(size=size):
            headers["Content-Range"] = f"bytes */{size}"
        case _:
            pass
    return problem(scope, kind, detail, errors=getattr(error, "fields", ()), headers=headers)


def internal(scope: Scope) -> Response:
    """Build the answer to what nobody foresaw; it says nothing of the inside."""
    return problem(scope, INTERNAL, "the service failed on this request; its log has more under the request id")


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an error of ours; one that is not in the table goes on and ends as 500."""
    response = refusal(request.scope, error) if isinstance(error, OffloadError) else None
    if response is None:
        raise error
    return response


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer what FastAPI found wrong in parameters, without the values it found."""
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    fields = [FieldError(".".join(str(part) for part in e["loc"][1:]), e["msg"], e["type"]) for e in found]
    return await on_error(request, InvalidParameters(fields))


async def on_http(request: Request, error: Exception) -> Response:
    """Answer what Starlette raises by itself: no route, wrong method."""
    if not isinstance(error, HTTPException):
        raise error
    method, path = request.method, request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem(request.scope, NO_PATH, f"there is nothing at {path}")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem(request.scope, WRONG_METHOD, f"{method} is not allowed at {path}", headers=error.headers)
    kind = Kind("", error.status_code, HTTPStatus(error.status_code).phrase, "")
    return problem(request.scope, kind, str(error.detail), headers=error.headers)


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
        "description": "RFC 9457. `type` is stable, and a reference to a page that explains it.",
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
