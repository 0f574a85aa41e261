"""How large and how slow a request may be: pure ASGI, so it also counts what comes in chunks.

uvicorn with httptools has no limit of its own for any of this; `offload.api.server.protocol` bounds what it reads
before a request's head is whole.
"""

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offload.api.problems.request_errors import BodyTooLarge, BodyTooSlow, HeadersTooLarge, UrlTooLong
from offload.api.problems.responses import respond
from offload.domain.errors import OffloadError

T = TypeVar("T")
URL_BYTES = 8_192
HEADER_BYTES = 32_768


class Limits:
    """Answers 414, 431, 413 and 408 before anything else is done with a request; holds at most `body` bytes of it.

    A body may come in any number of chunks, within `seconds` in total.
    """

    def __init__(self, app: ASGIApp, body: int, seconds: float = 30.0) -> None:
        self._app = app
        self._body = body
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            has_body = self._check_head(scope)
        except OffloadError as error:
            await respond(error, scope, receive, send)
            return
        if not has_body:
            await self._app(scope, receive, send)
            return
        body = _Body(receive, send, self._body, self._seconds)
        await self._app(scope, body.receive, body.send)
        if body.fault is not None and not body.is_answered:
            await respond(body.fault, scope, receive, send)

    def _check_head(self, scope: Scope) -> bool:
        """Return whether a body comes; raises if the head, or the declared length of the body, is too large."""
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URL_BYTES:
            raise UrlTooLong(URL_BYTES)
        size, has_body = 0, False
        for name, value in scope["headers"]:
            size += len(name) + len(value) + 4
            if name == b"content-length":
                has_body = value != b"0"
                if value.isdigit() and int(value[:20]) > self._body:
                    raise BodyTooLarge(self._body)
            elif name == b"transfer-encoding":
                has_body = True
        if size > HEADER_BYTES:
            raise HeadersTooLarge(HEADER_BYTES)
        return has_body


class _Body:
    """One incoming body. Its error is raised where it is read, and becomes the answer even if it is caught."""

    def __init__(self, receive: Receive, send: Send, limit: int, seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._taken = 0
        self._is_whole = False
        self._seconds = seconds
        self._ends = asyncio.get_running_loop().time() + seconds
        self.fault: OffloadError | None = None
        self.is_answered = False

    async def receive(self) -> Message:
        """Receive a part within the limits; raises BodyTooLarge, BodyTooSlow."""
        if self._is_whole:  # what is awaited now is that the client goes away
            return await self._receive()
        arriving: Any = self._receive()
        try:
            first = arriving.send(None)
        except StopIteration as arrived:  # with the head, as most bodies: no timer is needed
            return self._taken_in(arrived.value)
        try:
            async with asyncio.timeout_at(self._ends):
                message = await _rest(arriving, first)
        except TimeoutError:
            self.fault = BodyTooSlow(self._seconds)
            raise self.fault from None
        return self._taken_in(message)

    def _taken_in(self, message: Message) -> Message:
        self._taken += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._taken > self._limit:
            self.fault = BodyTooLarge(self._limit)
            raise self.fault
        return message

    async def send(self, message: Message) -> None:
        """Pass on the answer, unless an error of the body replaces it."""
        if self.fault is not None and not self.is_answered:
            return
        self.is_answered = True
        await self._send(message)


@coroutine
def _rest(begun: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Continue a coroutine after its first step; `waits_for` is the value that this step yielded."""
    while True:
        try:
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle
            step = partial(begun.throw, error)
        else:
            step = partial(begun.send, value)
        try:
            waits_for = step()
        except StopIteration as done:
            result: T = done.value
            return result
