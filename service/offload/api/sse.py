"""Encoding of server-sent events, once per event for all clients.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import orjson
from fastapi.sse import format_sse_event

from offload.documents.jobs import JobDocument
from offload.domain.clock import rfc3339
from offload.domain.events import Event

KEEP_ALIVE = format_sse_event(comment="keep-alive")
END = ".end"  # ends the id of a terminal event, so that a browser that reconnects after it can be told to stop
_KEPT_BYTES = 8_388_608  # of the latest events; more than readers that are not slow ask for


class SseEncoder:
    """Encodes events, and caches the latest."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Event, bytes]] = {}
        self._bytes = 0
        self._endings: dict[tuple[str, str, str], bytes] = {}
        self._ending_bytes = 0
        self._making: dict[tuple[str, str, str], asyncio.Lock] = {}

    def together(self, events: Iterable[Event]) -> bytes:
        """Return events as they are sent, in one piece."""
        return b"".join([self.of(event) for event in events])

    def of(self, event: Event) -> bytes:
        """Return an event as it is sent."""
        known = self._known.get(event.id)
        if known is not None and known[0] is event:  # another one may go by its id: the state that a stream begins with
            return known[1]
        frame = _encoded(event, None)
        if event.id and known is None:  # not `missed`, which is about one reader
            self._known[event.id] = (event, frame)
            self._bytes += len(frame)
            while self._bytes > _KEPT_BYTES:
                self._bytes -= len(self._known.pop(next(iter(self._known)))[1])
        return frame

    async def ending(self, event: Event, document: Callable[[str], Awaitable[JobDocument | None]]) -> bytes:
        """Return a job's terminal event with the job's document, which is read once for all who follow it."""
        key = (event.id, event.name, event.job_id)
        if known := self._endings.get(key):
            return known
        lock = self._making.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                return self._endings.get(key) or self._end(key, _encoded(event, {"job": await document(event.job_id)}))
        finally:
            self._making.pop(key, None)

    def _end(self, key: tuple[str, str, str], frame: bytes) -> bytes:
        self._endings[key] = frame
        self._ending_bytes += len(frame)
        while self._ending_bytes > _KEPT_BYTES:
            self._ending_bytes -= len(self._endings.pop(next(iter(self._endings))))
        return frame


def _encoded(event: Event, more: dict[str, JobDocument | None] | None) -> bytes:
    data = described(event)
    if more is not None:
        data |= more
    event_id = event.id + END if more is not None else event.id
    return format_sse_event(data_str=orjson.dumps(data).decode(), event=event.name, id=event_id or None)


def described(event: Event) -> dict[str, Any]:
    """Return the document of an event, with times in RFC 3339."""
    data = {name: value for name, value in event.data.items() if name != "due"}
    if "due" in event.data:
        data["run_at"] = rfc3339(event.data["due"])
    about = {"job_id": event.job_id} if event.job_id else {}
    return {**about, "at": rfc3339(event.at_ms), **data}
