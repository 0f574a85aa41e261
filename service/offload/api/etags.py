"""Entity tags (RFC 9110, 8.8.3): an answer names the state that it shows, and is left out for who knows that state."""

import hashlib
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/json"
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "It stands as it did when `If-None-Match` was the `ETag` of an answer"}
}


def conditional(request: Request, document: object) -> Response:
    """Answer with the document and its strong `ETag`, or 304 without it where `If-None-Match` names that."""
    return answer(orjson.dumps(document), request.headers.get("if-none-match"))


def answer(body: bytes, asked: str | None) -> Response:
    """Answer with a document in JSON and its tag, or 304; `asked` is what `If-None-Match` says."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if asked and is_named(tag, asked):
        return Response(None, 304, headers)
    return Response(body, 200, headers, MEDIA_TYPE)


def is_named(tag: str, asked: str) -> bool:
    """Whether an `If-None-Match` names the tag: in a list, as a weak one (8.8.3.2: compared weakly), or by `*`."""
    return asked.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in asked.split(","))
