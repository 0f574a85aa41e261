"""What callers call to look at work: jobs, pages, results, events, queues, workers. Writing is `service.client`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from service.domain.artifacts import Artifact
from service.domain.catalogue import Catalogue
from service.domain.clock import now_ms
from service.domain.errors import JobFailed, NotFinished, NotFound, ResultExpired, Unavailable
from service.domain.events import Event
from service.domain.records import JobRecord, Page, QueueState
from service.domain.states import TERMINAL, Status
from service.store import artifacts, queues, stats, workers
from service.store.artifacts import ArtifactFiles
from service.store.connection import RedisClient, reaching_redis
from service.store.feed import Feed, place
from service.store.records import Records

_LOOK_AGAIN_S = 5.0  # while waiting for an event: a feed that was cut off must not strand a waiter


class Inspector:
    """Reads; changes nothing."""

    def __init__(
        self, redis: RedisClient, records: Records, feed: Feed, files: ArtifactFiles, catalogue: Catalogue
    ) -> None:
        self._redis = redis
        self._records = records
        self._feed = feed
        self._files = files
        self.catalogue = catalogue

    async def get(self, job_id: str) -> JobRecord:
        """Return one job with its failed attempts and log lines; raises NotFound."""
        record = await self._records.get(job_id, now_ms())
        if record is None:
            raise NotFound("job", job_id)
        return record

    async def page(self, status: Status | None = None, limit: int = 50, cursor: str | None = None) -> Page:
        """Return a page of jobs, newest first; `cursor` is the `next` of the page before."""
        items, following = await self._records.page(status, limit, cursor, now_ms())
        return Page(tuple(items), following)

    async def result(self, job_id: str) -> bytes:
        """Return the result as raw JSON; raises NotFound, NotFinished, ResultExpired, JobFailed."""
        record = await self.get(job_id)
        if not record.status.is_terminal:
            msg = f"job {job_id} is {record.status}; its result comes when it has succeeded"
            raise NotFinished(msg)
        if record.status is not Status.SUCCEEDED:
            raise JobFailed(job_id, record.status, record.error)
        if record.result is None:
            msg = f"the result of job {job_id} is no longer kept"
            raise ResultExpired(msg)
        return record.result

    async def wait(self, job_id: str, timeout: float | None = None) -> JobRecord:
        """Return the job when it has ended, or as it stands after `timeout` seconds; raises NotFound."""
        loop = asyncio.get_running_loop()
        ends = None if timeout is None else loop.time() + timeout
        async with self._feed.listen(job_id) as reader:
            while True:
                record = await self.get(job_id)
                left = _LOOK_AGAIN_S if ends is None else min(_LOOK_AGAIN_S, ends - loop.time())
                if record.status.is_terminal or left <= 0:
                    return record
                event: Event | None = None
                while event is None or event.name not in TERMINAL:
                    event = await reader.next(left)
                    if event is None:
                        break

    async def events(
        self, job_id: str, after: str | None = None, keep_alive: float = 15.0
    ) -> AsyncIterator[Event | None]:
        """Yield the job's state, then what happens to it, up to its end; None when `keep_alive` s were quiet.

        `after` is the id of the last event a reader saw: it gets what it missed, as far as the feed still holds it.
        """
        async with self._feed.listen(job_id) as reader:
            missed = await self._feed.since(after, job_id) if after else []
            record = await self.get(job_id)
            seen = after or reader.starts_after
            for event in missed:
                seen = event.id
                yield event
            if record.status.is_terminal and missed and missed[-1].name in TERMINAL:
                return  # An earlier end, which a replay followed, is not the end.
            if not after or record.status.is_terminal:
                yield Event(seen, record.status, job_id, now_ms(), {"attempt": record.attempt})
                if record.status.is_terminal:
                    return
            last = place(seen)
            while True:
                next_event = await reader.next(keep_alive)
                if next_event is None:
                    yield None
                elif place(next_event.id) > last:
                    yield next_event
                    if next_event.name in TERMINAL:
                        return

    async def all_events(self, after: str | None = None, keep_alive: float = 15.0) -> AsyncIterator[Event | None]:
        """Yield what happens to all jobs, from now on or after an event id; None when `keep_alive` s were quiet."""
        async with self._feed.listen() as reader:
            last = place(after) if after else place("0-0")
            for event in await self._feed.since(after) if after else ():
                last = place(event.id)
                yield event
            while True:
                next_event = await reader.next(keep_alive)
                if next_event is None:
                    yield None
                elif place(next_event.id) > last:
                    yield next_event

    async def queues(self) -> list[QueueState]:
        """Return every queue that is declared or was ever used."""
        names = await queues.known(self._redis) | set(self.catalogue.queue_names)
        return await queues.states(self._redis, names, now_ms())

    async def workers(self) -> list[dict[str, Any]]:
        """Return the live workers."""
        return await workers.everyone(self._redis)

    async def artifact(self, artifact_id: str) -> tuple[Artifact, Path]:
        """Return a file that a job made: what it is and where it lies; raises NotFound."""
        path = self._files.path(artifact_id)
        artifact = await artifacts.find(self._redis, artifact_id)
        if not await asyncio.to_thread(path.is_file):
            raise NotFound("artifact", artifact_id)
        return artifact, path

    async def stats(self) -> dict[str, Any]:
        """Return counts by status, the queues' depths, and endings by function over the last 24 hours."""
        return await stats.summary(self._redis, now_ms())

    async def ready(self) -> None:
        """Raise Unavailable unless Redis answers within a second."""
        try:
            async with asyncio.timeout(1.0):
                with reaching_redis():
                    await self._redis.ping()
        except TimeoutError:
            msg = "Redis did not answer within 1 s"
            raise Unavailable(msg) from None
