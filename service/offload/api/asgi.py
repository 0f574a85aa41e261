"""Requests and answers as ASGI has them, for the calls where all that FastAPI adds would cost as much as the call."""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from offload.api.problems.request_errors import BodyNotJson, WrongMediaType

Headers = dict[bytes, bytes]


@dataclass(slots=True)
class Answer:
    """An answer in JSON. Nothing changes one; not frozen, since one is made for each request."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]

    async def send(self, send: Send) -> None:
        """Send it."""
        about = [(b"content-length", b"%d" % len(self.body)), (b"content-type", b"application/json"), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": about})
        await send({"type": "http.response.body", "body": self.body})


async def body_of(receive: Receive) -> bytes:
    """Return the whole body; raises ClientDisconnect where the client went away before it was sent."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def headers_of(scope: Scope) -> Headers:
    """Return the headers by name, in lower case; of one that came twice both, as a list (RFC 9110, 5.3)."""
    found: Headers = {}
    for name, value in scope["headers"]:
        found[name] = found[name] + b", " + value if name in found else value
    return found


def json_of(body: bytes, headers: Headers) -> Any:
    """Return what a body says in JSON; raises BodyNotJson, WrongMediaType.

    A browser can send a body from another site without asking only as long as it is not declared as JSON.
    """
    declared = headers.get(b"content-type", b"")
    if declared != b"application/json":
        media_type = declared.partition(b";")[0].strip().lower().decode("latin-1")
        if not media_type.startswith("application/") or not media_type.endswith(("/json", "+json")):
            raise WrongMediaType(
                f"the body is declared as {media_type or 'nothing'!r}; send `Content-Type: application/json`"
            )
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyNotJson(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
