"""The events for one reader: first those it missed, or the present state, then new ones, each event once."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from offload.domain.clock import now_ms
from offload.domain.events import MISSED, Event, EventFilter
from offload.domain.records import JobRecord
from offload.domain.states import TERMINAL
from offload.store.feed.fanout import Reader
from offload.store.feed.stream import Feed, place

ENDINGS = frozenset(status.value for status in TERMINAL)


async def one_job(
    feed: Feed, get: Callable[[str], Awaitable[JobRecord]], job_id: str, after: str | None, keep_alive: float
) -> AsyncGenerator[Event | None, None]:
    """Yield a job's state, then its events up to its end; None after `keep_alive` s without events."""
    async with feed.listen(job_id) as reader:
        earlier = await _missed(feed, job_id, after, reader.starts_after)
        record = await get(job_id)
        if after and record.status.is_terminal and not _has_ended(earlier):
            earlier = await _missed(feed, job_id, after)  # This process has not read as far as the job's end yet.
        seen = after or reader.starts_after
        for event in earlier:
            seen = event.id or seen
            yield event
        if record.status.is_terminal and _has_ended(earlier):
            return  # An earlier end, which a replay followed, is not the end.
        is_whole = after and not (earlier and earlier[0].name == MISSED)
        if not is_whole or record.status.is_terminal:
            yield Event(seen, record.status, job_id, now_ms(), {"attempt": record.attempt})
        if record.status.is_terminal:
            return
        async with aclosing(_live(reader, seen, keep_alive)) as live:
            async for next_event in live:
                yield next_event


async def _missed(feed: Feed, job_id: str, after: str | None, until: str = "") -> list[Event]:
    """Return the job's events in the feed after an event, up to the id `until`, or all of them."""
    if not after:
        return []
    return [event async for some in feed.since(after, EventFilter(job_id), until) for event in some]


def _has_ended(events: list[Event]) -> bool:
    return bool(events) and events[-1].name in TERMINAL


async def _live(reader: Reader, seen: str, keep_alive: float) -> AsyncGenerator[Event | None, None]:
    last = place(seen)
    while True:
        event = await reader.next(keep_alive)
        if event is None or not event.id or place(event.id) > last:
            yield event
        if event is not None and event.name in TERMINAL and place(event.id) > last:
            return


async def all_jobs(
    feed: Feed, wanted: EventFilter, after: str | None, keep_alive: float
) -> AsyncGenerator[list[Event], None]:
    """Yield the wanted events of all jobs, in lists; [] after `keep_alive` s without events."""
    last = place(after) if after else place("0-0")
    async with feed.listen(wanted=wanted) as reader:
        yield []
        if after:
            async with aclosing(feed.since(after, wanted, reader.starts_after)) as earlier:
                async for some in earlier:
                    yield some
        while True:
            found = await reader.batch(keep_alive)
            yield [event for event in found if not event.id or place(event.id) > last]
