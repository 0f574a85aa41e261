"""Events of jobs as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from offload.api.problems import responses
from offload.api.server.protocol import ENDLESS
from offload.api.sse import END, KEEP_ALIVE, SseEncoder
from offload.api.state import Given
from offload.documents.jobs import JobDocument
from offload.domain import views
from offload.domain.errors import NotFound, Unavailable
from offload.domain.events import Event, EventFilter
from offload.domain.states import TERMINAL
from offload.inspector import Inspector

log = structlog.get_logger(__name__)

KEEP_ALIVE_S = 15.0  # as the specification advises, against proxies that close what is quiet

_EVENT = {
    "type": "object",
    "description": "One event of the stream.",
    "required": ["event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Position in the feed, for `Last-Event-ID`; some events have none."},
        "event": {
            "type": "string",
            "description": "The status entered, or `progress`, `log`, `blocked`, `stalled`, `missed`.",
        },
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "examples": [
        {
            "id": "1795339800125-0.0",
            "event": "running",
            "data": '{"job_id":"019ab1f5e0c4b7a0c8d4e5f60718293a","at":"2026-11-22T09:30:00.125Z","queue":"mail",'
            '"function":"mail.send","attempt":1,"worker":"web-1:4021"}',
        }
    ],
}
EVENT_ID = r"^([0-9]{1,19}-[0-9]{1,19}(\.[0-9]{1,9})?(\.end)?)?$"

router = APIRouter()

LastEventId = Annotated[
    str | None,
    Header(description="Id of the last event received; the stream continues after it.", pattern=EVENT_ID),
]
EventName = Literal[
    "deferred", "queued", "running", "retrying", "succeeded", "dead", "aborted",
    "progress", "log", "blocked", "stalled",
]  # fmt: skip


class Resuming(BaseModel):
    """The position to continue from, for clients that cannot set the header."""

    model_config = ConfigDict(extra="forbid")

    last_event_id: str | None = Field(
        None, description="Same as the header `Last-Event-ID`, which takes precedence.", pattern=EVENT_ID
    )


class Listening(Resuming):
    """The filter of the feed; each parameter can be repeated."""

    function: list[str] | None = Field(None, max_length=50, description="Only jobs of this function.")
    queue: list[str] | None = Field(None, max_length=50, description="Only jobs in this queue.")
    event: list[EventName] | None = Field(None, max_length=20, description="Only events with this name.")


class EventStream(StreamingResponse):
    """A stream that closes its sources as soon as the client has disconnected, even before it began."""

    media_type = "text/event-stream"

    def __init__(self, sent: AsyncGenerator[bytes, None], events: AsyncGenerator[Any, None]) -> None:
        super().__init__(sent, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._sent, self._events = sent, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, and close its sources whatever happens."""
        scope[ENDLESS] = True
        async with aclosing(self._events), aclosing(self._sent):
            await super().__call__(scope, receive, send)


@router.get(
    "/v1/events",
    operation_id="follow_all",
    summary="Follow all jobs",
    status_code=200,
    tags=["fleet"],
    response_class=EventStream,
    responses={
        200: {
            "description": "Events named after the status entered, or `progress`, or `log`; their data is JSON. "
            "`blocked` reports that an event loop is being blocked, `stalled` that it was. "
            "`missed` reports that this client missed `count` events because it was too slow or disconnected for too "
            "long; null if the number is unknown.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        **responses.responses(422, 503),
    },
)
async def follow_all(
    given: Given, listening: Annotated[Listening, Query()], last_event_id: LastEventId = None
) -> Response:
    """Follow events of all jobs, or of some functions or queues; the stream does not end.

    With `Last-Event-ID` it begins with the events after that one, as far as the feed still has them.
    """
    wanted = EventFilter(
        functions=_some(listening.function), queues=_some(listening.queue), names=_some(listening.event)
    )
    after = (last_event_id or listening.last_event_id or "").removesuffix(END)
    events = given.inspector.all_events(wanted, after or None, KEEP_ALIVE_S)
    await given.promptly(anext(events))  # before the answer begins, so that a Redis that is away is a 503
    return EventStream(_all(events, given.encoder), events)


@router.get(
    "/v1/jobs/{job_id}/events",
    operation_id="follow_job",
    summary="Follow a job",
    tags=["jobs"],
    status_code=200,
    response_class=EventStream,
    responses={
        200: {
            "description": "Events named after the status entered, or `progress`, or `log`; their data is JSON. "
            "`blocked` reports that the job is blocking its worker's event loop, `stalled` that it did. "
            "The data of the terminal event has the whole document as `job`; the stream ends after it.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        204: {"description": "The job has finished and `Last-Event-ID` is its terminal event: do not reconnect"},
        **responses.responses(404, 422, 503),
    },
)
async def follow_job(
    job_id: str,
    given: Given,
    resuming: Annotated[Resuming, Query()],
    last_event_id: LastEventId = None,
) -> Response:
    """Follow one job: first its present status, then its events until it finishes.

    With `Last-Event-ID` it begins with the events after that one, as far as the feed still has them.
    """
    inspector = given.inspector
    last_seen = last_event_id or resuming.last_event_id or ""
    after = last_seen.removesuffix(END)
    events: Any = inspector.events(job_id, after or None, KEEP_ALIVE_S)
    first = await given.promptly(anext(events, None))  # before the answer begins, so that an unknown job is a 404
    if last_seen != after and first is not None and first.name in TERMINAL and first.id == after:
        await events.aclose()
        return Response(status_code=204)
    return EventStream(_one(events, first, inspector, given.encoder), events)


async def _all(events: AsyncGenerator[list[Event], None], encoder: SseEncoder) -> AsyncGenerator[bytes, None]:
    try:
        async for some in events:
            yield encoder.together(some) or KEEP_ALIVE
    except Unavailable as error:  # the reader connects again, with the last id it saw
        log.warning("event_stream_cut", error=str(error))


async def _one(
    events: AsyncGenerator[Event | None, None], first: Event | None, inspector: Inspector, encoder: SseEncoder
) -> AsyncGenerator[bytes, None]:
    async def document(job_id: str) -> JobDocument | None:
        try:
            return views.job(await inspector.get(job_id))
        except NotFound:  # its record was not to be kept
            return None

    async def encoded(event: Event | None) -> bytes:
        if event is None:
            return KEEP_ALIVE
        return await encoder.ending(event, document) if event.name in TERMINAL else encoder.of(event)

    try:
        yield await encoded(first)
        async for event in events:
            yield await encoded(event)
    except Unavailable as error:  # as above
        log.warning("event_stream_cut", error=str(error))


def _some(names: list[str] | list[EventName] | None) -> frozenset[str] | None:
    return frozenset(names) if names else None
