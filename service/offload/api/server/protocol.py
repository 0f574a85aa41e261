"""uvicorn's HTTP/1.1 protocol with limits on clients that are slow, silent, too many, or send malformed requests.

What it buys: uvicorn's httptools protocol limits neither the size of a request's head, nor the time in which a request
must arrive, nor the time for which a client may leave its answer unread, and refuses a connection beyond the limit only
when its request has arrived. Here a connection is open only while its request arrives within a limit, is being
answered, or waits a few seconds for the next one. Smaller limits are the application's own
(`offload.api.middleware.limits`), which logs its refusals. The cost is part of the figures of `benchmarks/README.md`,
"The HTTP API": 1.02 of the rate of an empty FastAPI POST on plain uvicorn.

To do without: `uvicorn --factory offload.app:create_app` behind a proxy that has these limits (docs/security.md).
This file depends on internals of uvicorn; `tests/contract/test_library_internals.py` fails when they change.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from offload.api.problems.request_errors import BodyTooSlow, HeadersTooLarge, UrlTooLong
from offload.api.problems.responses import MEDIA_TYPE, RETRY_AFTER_S
from offload.api.problems.types import BUSY, MALFORMED, TABLE, Kind
from offload.api.server.cork import Corked

URL_BYTES = 16_384
HEAD_BYTES = 65_536
ENDLESS = "offload.endless"  # the key in the ASGI scope of a request whose answer goes on until somebody leaves
_NO_LINGER = struct.pack("ii", 1, 0)
_SLACK_S = 2.0  # the application's own limit on a body comes first


@dataclass(frozen=True, slots=True)
class ProtocolLimits:
    """Seconds in which a request must arrive, and its answer must be read; the maximum number of connections."""

    request_s: float = 30.0
    unread_s: float = 60.0
    connections: int = 10_000


class _BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    limits = ProtocolLimits()
    pipeline: "deque[Any]"
    cycle: Any  # the latest request and its answer; None before the first

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; refuse a connection beyond the limit."""
        super().connection_made(transport)
        self._is_refused = False
        self._is_receiving = self._is_in_head = False  # there is a request that has begun and is not whole
        self._too_large: Kind | None = None
        self._head_bytes = 0
        self._request_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.connections:
            self._is_refused = True
            self._respond_and_close(BUSY)
            return
        _set_user_timeout(transport, self.limits.unread_s)
        self._start_request_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers of the connection."""
        self._stop_request_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take received data; invalid HTTP is answered after the requests before it."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # there is no other protocol to go to: RFC 9110, 7.8, lets us ignore it
            self._close_after_response()
        except httptools.HttpParserError:
            self._refuse_request(self._too_large or MALFORMED)
        else:
            self._head_bytes += len(data)
            if self._is_in_head and self._head_bytes > HEAD_BYTES:  # the parser keeps one header as long as it comes
                self._refuse_request(TABLE[HeadersTooLarge])
            elif self._request_timer is None and (self._is_receiving or not self._is_responding()):
                self._start_request_timer()

    # What the parser finds.

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_receiving = self._is_in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        super().on_url(url)
        if len(self.url) > URL_BYTES:
            self._stop_parsing(TABLE[UrlTooLong])

    def on_headers_complete(self) -> None:
        """End the head."""
        self._is_in_head = False
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.transport = Corked(self.transport, self.loop)

    def on_message_complete(self) -> None:
        """Note that a request is complete: from here on the time is the service's."""
        self._is_receiving = False
        self._stop_request_timer()
        super().on_message_complete()

    # What becomes of answers.

    def shutdown(self) -> None:
        """Let an answer end when the service stops, but close an endless stream: its reader resumes elsewhere."""
        if self._is_responding() and self.cycle.scope.get(ENDLESS):
            self.transport.close()
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        """Note that an answer is complete; the client must still read the rest of it."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._start_read_timer()
        elif self._is_receiving:  # it is not idle
            self._unset_keepalive_if_required()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read."""
        super().pause_writing()
        self._start_read_timer()

    def resume_writing(self) -> None:
        """Continue: the client reads again."""
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; the client has a limited time to read the rest of its answer."""
        super().timeout_keep_alive_handler()
        self._start_read_timer()

    # Waiting.

    def _start_request_timer(self) -> None:
        self._request_timer = self.loop.call_later(self.limits.request_s, self._on_request_timeout)

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _start_read_timer(self) -> None:
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(self.limits.unread_s, self._abort_connection)

    def _on_request_timeout(self) -> None:
        if self.pipeline:  # the requests before it are being answered, and this one is not read meanwhile
            self._start_request_timer()
        elif self._is_responding():
            self._request_timer = self.loop.call_later(_SLACK_S, self._refuse_request, TABLE[BodyTooSlow])
        elif not self._is_receiving:  # nothing was asked
            self.transport.close()
        else:
            self._refuse_request(TABLE[BodyTooSlow])

    # Refusing.

    def _stop_parsing(self, kind: Kind) -> None:
        self._too_large = kind
        raise ValueError(kind.title)  # the parser passes it on as an error of its own

    def _refuse_request(self, kind: Kind) -> None:
        """Answer a request that cannot be read, unless another is being answered; that one is then the last."""
        self._is_refused = True
        self._stop_request_timer()
        if not self._is_responding():
            self._respond_and_close(kind)
        elif not self.cycle.more_body:
            self._close_after_response()
        elif self.cycle.response_started:
            self._abort_connection()
        else:
            self._respond_and_close(kind)

    def _close_after_response(self) -> None:
        if self._is_responding():
            self.cycle.keep_alive = False
            self.pipeline.clear()

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _abort_connection(self) -> None:
        """Close at once; the system discards unread data too."""
        connection: Any = self.transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def _respond_and_close(self, kind: Kind) -> None:
        """Answer without the application, and hang up."""
        if self.transport.is_closing():
            return
        about = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": kind.about, "instance": ""}
        body = orjson.dumps(about)
        retry = f"retry-after: {RETRY_AFTER_S}\r\n" if kind.status == HTTPStatus.SERVICE_UNAVAILABLE else ""
        head = (
            f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n{retry}"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
        self._start_read_timer()


def protocol(limits: ProtocolLimits) -> type[HttpToolsProtocol]:
    """Return the protocol with these limits; uvicorn makes one for each connection."""
    return type("BoundedHttp", (_BoundedProtocol,), {"limits": limits})


def _set_user_timeout(transport: asyncio.Transport, seconds: float) -> None:
    """Have the system close the connection after `seconds` without an acknowledgement of sent data: RFC 5482."""
    connection: Any = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, round(seconds * 1000))
