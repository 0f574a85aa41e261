"""What happens to a job, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
import structlog
from fastapi import APIRouter, Header, Query
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from service.api import documents, problems
from service.api.state import Given
from service.domain.errors import NotFound, Unavailable
from service.domain.events import Event
from service.domain.states import TERMINAL
from service.inspector import Inspector

log = structlog.get_logger(__name__)

KEEP_ALIVE_S = 15.0  # as the specification advises, against proxies that close what is quiet
KEEP_ALIVE = format_sse_event(comment="keep-alive")
_END = ".end"  # ends the id of a terminal event, so that a browser that reconnects after it can be told to stop

_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}

router = APIRouter(tags=["jobs"])


class Resuming(BaseModel):
    """Where to go on, for those who cannot set the header."""

    model_config = ConfigDict(extra="forbid")

    last_event_id: str | None = Field(None, description="As the header `Last-Event-ID`, which wins.")


class EventStream(StreamingResponse):
    """A stream whose source is closed as soon as the client is gone."""

    media_type = "text/event-stream"

    def __init__(self, source: AsyncGenerator[bytes, None]) -> None:
        super().__init__(source, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._source = source

    async def stream_response(self, send: Send) -> None:
        """Send the stream, and close its source whatever happens."""
        async with aclosing(self._source):
            await super().stream_response(send)


@router.get(
    "/v1/jobs/{job_id}/events",
    operation_id="follow_job",
    summary="Follow a job",
    status_code=200,
    response_class=EventStream,
    responses={
        200: {
            "description": "Events named by the state entered, or `progress`, or `log`; their data is JSON. "
            "The terminal event's data has the whole document as `job`, and the stream ends after it.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        204: {"description": "The job has ended, and `Last-Event-ID` is its terminal event: do not connect again"},
        **problems.responses(404, 422, 503),
    },
)
async def follow_job(
    job_id: str,
    given: Given,
    resuming: Annotated[Resuming, Query()],
    last_event_id: Annotated[str | None, Header(description="The last event that was seen; go on after it.")] = None,
) -> Response:
    """Follow one job: first the state it is in, then what happens, up to its end.

    A reader that says which event it saw last gets what it missed, as far as the feed still holds it.
    """
    inspector = given.inspector
    last_seen = last_event_id or resuming.last_event_id or ""
    after = last_seen.removesuffix(_END)
    events: Any = inspector.events(job_id, after or None, KEEP_ALIVE_S)
    first = await given.promptly(anext(events, None))  # before the answer begins, so that an unknown job is a 404
    if last_seen != after and first is not None and first.name in TERMINAL and first.id == after:
        await events.aclose()
        return Response(status_code=204)
    return EventStream(_stream(events, first, inspector))


async def _stream(
    events: AsyncGenerator[Event | None, None], first: Event | None, inspector: Inspector
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        yield await _encode(first, inspector)
        try:
            async for event in events:
                yield await _encode(event, inspector)
        except Unavailable as error:  # the reader connects again, with the last id it saw
            log.warning("event_stream_cut", error=str(error))


async def _encode(event: Event | None, inspector: Inspector) -> bytes:
    if event is None:
        return KEEP_ALIVE
    data, event_id = documents.event(event), event.id
    if event.name in TERMINAL:
        event_id += _END
        data["job"] = await _document(event.job_id, inspector)
    return format_sse_event(data_str=orjson.dumps(data).decode(), event=event.name, id=event_id)


async def _document(job_id: str, inspector: Inspector) -> documents.JobDocument | None:
    try:
        return documents.job(await inspector.get(job_id))
    except NotFound:  # its record was not to be kept
        return None
