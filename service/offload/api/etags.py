"""Entity tags (RFC 9110, 8.8.3): an answer names its state, and its body is left out if the client has that state."""

import hashlib
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/json"
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Not modified: `If-None-Match` has its current `ETag`"}
}


def conditional(request: Request, document: object) -> Response:
    """Answer with the document and its strong `ETag`, or with 304 and no body if `If-None-Match` names that tag."""
    return answer(orjson.dumps(document), request.headers.get("if-none-match"))


def answer(body: bytes, if_none_match: str | None) -> Response:
    """Answer with a document in JSON and its tag, or 304; `if_none_match` is that header."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if if_none_match and is_named(tag, if_none_match):
        return Response(None, 304, headers)
    return Response(body, 200, headers, MEDIA_TYPE)


def is_named(tag: str, if_none_match: str) -> bool:
    """Return True if `If-None-Match` names the tag: in a list, as a weak one (8.8.3.2: weak comparison), or by `*`."""
    return if_none_match.strip() == "*" or tag in (
        named.strip().removeprefix("W/") for named in if_none_match.split(",")
    )
