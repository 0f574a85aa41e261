"""Fires schedules: every worker knows when each is due, and one script lets exactly one of them fire a tick."""

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
from offload.store.fleet import schedules

log = structlog.get_logger(__name__)
_LOOK_AGAIN_MS = 5_000  # another process may have paused or changed a schedule


class Scheduler:
    """The schedules of one worker."""

    def __init__(self, redis: RedisClient, client: Client, plans: Iterable[Schedule], outage: RedisOutage) -> None:
        self._redis = redis
        self._outage = outage
        self._client = client
        self._plans = tuple(plans)
        self._next: dict[str, int] = {}
        self._ahead_ms = 0  # how far our clock is ahead of Redis', by which a tick is due

    async def run(self) -> None:
        """Fire ticks until cancelled."""
        while self._plans:
            try:
                wait_ms = await self._fire_due()
            except Unavailable as error:
                await self._outage.pause("ticks", error)
            else:
                self._outage.served("ticks")
                await asyncio.sleep(wait_ms / 1000)

    async def _fire_due(self) -> int:
        """Fire what is due; return how long to wait, in ms."""
        for plan in self._plans:
            planned = self._next.get(plan.name)
            if planned is None or planned <= self._now_ms():
                self._next[plan.name] = await self._tick(plan, planned or plan.next_after(self._now_ms()))
        soonest = min(self._next.values())
        return max(0, min(soonest - self._now_ms(), _LOOK_AGAIN_MS))

    async def _tick(self, plan: Schedule, at_ms: int) -> int:
        options = EnqueueOptions(job_id=f"{plan.name}:{at_ms}")
        job = self._client.prepare(Request(plan.function, plan.args, options))
        following_ms = plan.next_after(max(at_ms, self._now_ms()))
        ticked = await schedules.tick(self._redis, plan.name, at_ms, following_ms, job)
        self._ahead_ms = now_ms() - ticked.now_ms
        if ticked.fired:
            log.info("schedule_ticked", schedule=plan.name, job_id=job.id, late_ms=ticked.now_ms - at_ms)
        if plan.next_after(ticked.next_ms - 1) != ticked.next_ms:  # noted by another version of the plan
            await schedules.forget_next(self._redis, plan.name)
            return plan.next_after(ticked.now_ms)
        return ticked.next_ms

    def _now_ms(self) -> int:
        return now_ms() - self._ahead_ms
