"""Fires schedules: every worker knows when each is due, and one script lets exactly one worker fire a tick."""

import asyncio
from collections.abc import Iterable

import structlog

from offload.client import Client, Request
from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable
from offload.domain.functions import EnqueueOptions
from offload.domain.schedules import Schedule
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.fleet.schedules import forget_next, tick

log = structlog.get_logger(__name__)
_CHECK_AGAIN_MS = 5_000  # another process may have paused or changed a schedule


class Scheduler:
    """The schedules of one worker."""

    def __init__(self, redis: RedisClient, client: Client, schedules: Iterable[Schedule], outage: RedisOutage) -> None:
        self._redis = redis
        self._outage = outage
        self._client = client
        self._schedules = tuple(schedules)
        self._next: dict[str, int] = {}
        self._ahead_ms = 0  # how far our clock is ahead of Redis', by which a tick is due

    async def fire_ticks(self) -> None:
        """Fire ticks until cancelled."""
        while self._schedules:
            try:
                wait_ms = await self._fire_due()
            except Unavailable as error:
                await self._outage.pause("ticks", error)
            else:
                self._outage.served("ticks")
                await asyncio.sleep(wait_ms / 1000)

    async def _fire_due(self) -> int:
        """Fire the due ticks; return the time to wait, in ms."""
        for schedule in self._schedules:
            planned = self._next.get(schedule.name)
            if planned is None or planned <= self._now_ms():
                self._next[schedule.name] = await self._tick(schedule, planned or schedule.next_after(self._now_ms()))
        soonest = min(self._next.values())
        return max(0, min(soonest - self._now_ms(), _CHECK_AGAIN_MS))

    async def _tick(self, schedule: Schedule, at_ms: int) -> int:
        options = EnqueueOptions(job_id=f"{schedule.name}:{at_ms}")
        job = self._client.prepare(Request(schedule.function, schedule.args, options))
        following_ms = schedule.next_after(max(at_ms, self._now_ms()))
        ticked = await tick(self._redis, schedule.name, at_ms, following_ms, job)
        self._ahead_ms = now_ms() - ticked.now_ms
        if ticked.fired:
            log.info("schedule_ticked", schedule=schedule.name, job_id=job.id, late_ms=ticked.now_ms - at_ms)
        if schedule.next_after(ticked.next_ms - 1) != ticked.next_ms:  # noted by another version of the schedule
            await forget_next(self._redis, schedule.name)
            return schedule.next_after(ticked.now_ms)
        return ticked.next_ms

    def _now_ms(self) -> int:
        return now_ms() - self._ahead_ms
