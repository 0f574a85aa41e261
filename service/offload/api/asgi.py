"""Requests and answers of plain ASGI, for the routes of `fast_path`."""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from offload.api.problems.request_errors import BodyNotJson, WrongMediaType

Headers = dict[bytes, bytes]


@dataclass(slots=True)
class Answer:
    """An answer in JSON, never changed after it was made; not frozen, for speed."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]

    async def send(self, send: Send) -> None:
        """Send it."""
        headers = [(b"content-length", b"%d" % len(self.body)), (b"content-type", b"application/json"), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def body_of(receive: Receive) -> bytes:
    """Return the whole body; raises ClientDisconnect if the client disconnects first."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def headers_of(scope: Scope) -> Headers:
    """Return the headers by name, in lower case; repeated ones are joined as a list (RFC 9110, 5.3)."""
    headers: Headers = {}
    for name, value in scope["headers"]:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def json_of(body: bytes, headers: Headers) -> Any:
    """Parse a body as JSON; raises BodyNotJson, WrongMediaType.

    The media type matters: a browser sends JSON to another site only after a preflight, other bodies without one.
    """
    declared = headers.get(b"content-type", b"")
    if declared != b"application/json":
        media_type = declared.partition(b";")[0].strip().lower().decode("latin-1")
        if not media_type.startswith("application/") or not media_type.endswith(("/json", "+json")):
            raise WrongMediaType(
                f"unsupported media type {media_type or 'none'!r}; send `Content-Type: application/json`"
            )
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyNotJson(
            f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
