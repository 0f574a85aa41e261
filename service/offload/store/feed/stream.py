"""The feed of what happens to jobs: one blocking read per process, fanned out to its readers."""

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator

import orjson

from offload.domain.clock import now_ms
from offload.domain.errors import InvalidOptions, Unavailable
from offload.domain.events import Event, EventFilter, missed_event
from offload.store import keys
from offload.store.connection.cancelling import cancel_all
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.connection.outage import RedisOutage
from offload.store.feed.fanout import Channel, Reader, Rounds

_BLOCK_MS = 2000
_PROBE_MS = 50  # after a failure: whether Redis is back is to be known sooner
_AFTER_ALL = 1000  # an index behind that of every event in one entry of the stream
_PAGE = 20  # entries of up to 100 events each: what a reader that comes back is given at once
_REPLAYS = 4  # readers that come back are served at a time; a thousand may come at once
_EVENT_ID = re.compile(r"(\d{1,19})-(\d{1,19})(?:\.(\d{1,9}))?", re.ASCII)  # Redis has 64 bits for each of the first
_BEGINNING = (0, 0, _AFTER_ALL)


class Feed:
    """Reads the stream while anybody listens. `redis` must allow an answer to take as long as the blocking read."""

    def __init__(self, redis: RedisClient, outage: RedisOutage | None = None) -> None:
        self._redis = redis
        self._rounds = Rounds()
        self._channels: dict[EventFilter, Channel] = {}
        self._by_job: defaultdict[str, set[Channel]] = defaultdict(set)
        self._of_all: set[Channel] = set()
        self._reading: asyncio.Task[None] | None = None
        self._replays = asyncio.Semaphore(_REPLAYS)
        self._last = ""
        self._outage = outage or RedisOutage()

    @contextlib.asynccontextmanager
    async def listen(self, job_id: str | None = None, wanted: EventFilter | None = None) -> AsyncIterator[Reader]:
        """Listen to the events of one job, to wanted ones, or to all, from now on.

        Raises Unavailable if Redis is unavailable.
        """
        channel = self._channel(wanted or EventFilter(job_id))
        reader = Reader(channel)
        channel.readers.add(reader)
        try:
            await self._start()
            reader.starts_after = f"{self._last}.{_AFTER_ALL}"
            yield reader
        finally:
            channel.readers.discard(reader)
            if not channel.readers:
                self._close(channel)

    async def since(
        self, event_id: str, wanted: EventFilter | None = None, until: str = ""
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events of the feed after an event id, up to and including the id `until`, in lists.

        It begins with `missed` if the feed no longer reaches back to the event. Raises InvalidOptions.
        """
        wanted = wanted or EventFilter()
        after, last = place(event_id), place(until) if until else None
        entry = start = "-".join(map(str, after[:2]))
        while True:
            async with self._replays:
                with reaching_redis():
                    rows = await self._redis.xrange(keys.EVENTS, min=start, count=_PAGE)
                found = [event for row_id, fields in rows for event in _events(row_id, fields)]
            if start == entry and after > _BEGINNING and not (rows and rows[0][0].decode() == entry):
                yield [missed_event(None, now_ms())]
            later = (one for one in found if wanted.matches(one) and place(one.id) > after)
            events = [one for one in later if last is None or place(one.id) <= last]
            if events:
                yield events
            if len(rows) < _PAGE or (last is not None and found and place(found[-1].id) >= last):
                return
            start = "(" + rows[-1][0].decode()

    async def close(self) -> None:
        """Stop reading."""
        self._rounds.stop()
        if self._reading is not None:
            await cancel_all([self._reading])
            self._reading = None

    def _channel(self, wanted: EventFilter) -> Channel:
        """Return the channel for these events, an existing or a new one."""
        channel = self._channels.get(wanted)
        if channel is None:
            channel = self._channels[wanted] = Channel(wanted, self._rounds)
            group = self._of_all if wanted.job_id is None else self._by_job[wanted.job_id]
            group.add(channel)
        return channel

    def _close(self, channel: Channel) -> None:
        """Forget a channel that nobody reads."""
        wanted = channel.wanted
        if self._channels.get(wanted) is not channel:
            return
        del self._channels[wanted]
        self._of_all.discard(channel)
        if wanted.job_id is not None:
            self._by_job[wanted.job_id].discard(channel)
            if not self._by_job[wanted.job_id]:
                del self._by_job[wanted.job_id]

    async def _start(self) -> None:
        if self._reading is not None and not self._reading.done():
            return
        with reaching_redis():
            tail = await self._redis.xrevrange(keys.EVENTS, count=1)
        if self._reading is None or self._reading.done():  # nobody else began meanwhile
            self._last = tail[0][0].decode() if tail else "0-0"
            self._reading = asyncio.create_task(self._read(), name="offload-feed")

    async def _read(self) -> None:
        block_ms = _BLOCK_MS
        while True:
            try:
                with reaching_redis():
                    answer = await self._redis.xread({keys.EVENTS: self._last}, block=block_ms)
            except Unavailable as error:
                await self._outage.pause("feed", error)
                block_ms = _PROBE_MS
                continue
            self._outage.served("feed")
            block_ms = _BLOCK_MS
            for _, rows in answer or ():
                for row_id, fields in rows:
                    self._last = row_id.decode()
                    self._deliver(_events(row_id, fields))

    def _deliver(self, events: list[Event]) -> None:
        changed: set[Channel] = set()
        for event in events:
            for channel in (*self._by_job.get(event.job_id, ()), *self._of_all):
                if channel.wanted.matches(event):
                    channel.offer(event)
                    changed.add(channel)
        for channel in changed:
            channel.wake()


def _events(row_id: bytes, fields: dict[bytes, bytes]) -> list[Event]:
    """Read an entry: a list of events, each of one job (`id`) or of several (`ids`)."""
    base, events = row_id.decode(), list[Event]()
    for item in orjson.loads(fields[b"e"]):
        name, at_ms = item.pop("event"), item.pop("at")
        for job_id in (item.pop("id"),) if "id" in item else item.pop("ids"):
            events.append(Event(f"{base}.{len(events)}", name, job_id, at_ms, item))
    return events


def place(event_id: str) -> tuple[int, int, int]:
    """Return an event id as a value that sorts in feed order; raises InvalidOptions for an invalid event id."""
    found = _EVENT_ID.fullmatch(event_id)
    if found is None:
        msg = f"{event_id!r} is not an event id, such as 1763785298123-0.2"
        raise InvalidOptions(msg)
    ms, n, index = found.groups()
    return int(ms), int(n), -1 if index is None else int(index)
