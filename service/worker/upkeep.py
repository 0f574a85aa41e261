"""What a worker does now and then beside running jobs: say that it is there, take out what has outlived its keep."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from service.domain.clock import now_ms
from service.domain.errors import Unavailable
from service.store import stats, workers
from service.store.connection import RedisClient

log = structlog.get_logger(__name__)
_INTERVAL = 5.0
_PRUNED_AT_ONCE = 500


async def upkeep(redis: RedisClient, worker: str, about: Callable[[], dict[str, Any]]) -> None:
    """Beat and prune until cancelled; while Redis is away both wait."""
    while True:
        try:
            await workers.beat(redis, worker, about(), now_ms())
            await stats.prune(redis, _PRUNED_AT_ONCE)
        except Unavailable as error:
            log.warning("upkeep_waits", error=str(error))
        await asyncio.sleep(_INTERVAL)
