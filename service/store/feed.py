"""The feed of what happens to jobs: one blocking read per process, fanned out to bounded queues of its readers."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

import orjson

from service.domain.errors import InvalidOptions, Unavailable
from service.domain.events import Event
from service.store import keys
from service.store.away import Away
from service.store.cancelling import cancel_all
from service.store.connection import RedisClient, reaching_redis

_BLOCK_MS = 2000
_PROBE_MS = 50  # after a failure: whether Redis is back is to be known sooner
_READER_LIMIT = 1000
_AFTER_ALL = 1000  # an index behind that of every event in one entry of the stream


class Reader:
    """One reader's queue of events; when it reads too slowly the oldest are dropped and `missed` counts them."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue(_READER_LIMIT)
        self.missed = 0
        self.starts_after = "0-0"  # an event id: what is later in the feed reaches this reader

    def offer(self, event: Event) -> None:
        """Add an event, dropping the oldest when the queue is full."""
        if self._events.full():
            self._events.get_nowait()
            self.missed += 1
        self._events.put_nowait(event)

    async def next(self, timeout: float | None = None) -> Event | None:
        """Return the next event, or None when none came within `timeout` seconds."""
        if not self._events.empty():
            return self._events.get_nowait()
        try:
            async with asyncio.timeout(timeout):
                return await self._events.get()
        except TimeoutError:
            return None


class Feed:
    """Reads the stream while anybody listens. `redis` must allow an answer to take as long as the blocking read."""

    def __init__(self, redis: RedisClient, away: Away | None = None) -> None:
        self._redis = redis
        self._by_job: defaultdict[str, set[Reader]] = defaultdict(set)
        self._all: set[Reader] = set()
        self._reading: asyncio.Task[None] | None = None
        self._last = ""
        self._away = away or Away()

    @contextlib.asynccontextmanager
    async def listen(self, job_id: str | None = None) -> AsyncIterator[Reader]:
        """Listen to one job, or to all; events from now on reach the reader. Raises Unavailable when Redis is away."""
        reader = Reader()
        group = self._all if job_id is None else self._by_job[job_id]
        group.add(reader)
        try:
            await self._start()
            reader.starts_after = f"{self._last}.{_AFTER_ALL}"
            yield reader
        finally:
            group.discard(reader)
            if job_id is not None and not group:
                self._by_job.pop(job_id, None)

    async def since(self, event_id: str, job_id: str | None = None) -> list[Event]:
        """Return what the feed still holds after an event id, of one job or of all."""
        after = place(event_id)
        entry = event_id.partition(".")[0]
        with reaching_redis():
            rows = await self._redis.xrange(keys.EVENTS, min=entry)
        found = [event for row_id, fields in rows for event in _events(row_id, fields)]
        return [event for event in found if place(event.id) > after and job_id in (None, event.job_id)]

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            await cancel_all([self._reading])
            self._reading = None

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
                await self._away.pause("feed", error)
                block_ms = _PROBE_MS
                continue
            self._away.served("feed")
            block_ms = _BLOCK_MS
            for _, rows in answer or ():
                for row_id, fields in rows:
                    self._last = row_id.decode()
                    for event in _events(row_id, fields):
                        self._deliver(event)

    def _deliver(self, event: Event) -> None:
        for reader in self._all:
            reader.offer(event)
        for reader in self._by_job.get(event.job_id, ()):
            reader.offer(event)


def _events(row_id: bytes, fields: dict[bytes, bytes]) -> list[Event]:
    base = row_id.decode()
    return [
        Event(f"{base}.{i}", item.pop("event"), item.pop("id"), item.pop("at"), item)
        for i, item in enumerate(orjson.loads(fields[b"e"]))
    ]


def place(event_id: str) -> tuple[int, int, int]:
    """Return an event id as a value that sorts in feed order; raises InvalidOptions for what is no event id."""
    entry, _, index = event_id.partition(".")
    ms, _, n = entry.partition("-")
    try:
        return int(ms), int(n or 0), int(index or -1)
    except ValueError:
        msg = f"{event_id!r} is no event id; they look like 1763785298123-0.2"
        raise InvalidOptions(msg) from None
