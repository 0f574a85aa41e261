"""What a worker does now and then beside running jobs: say that it is there, take out what has outlived its keep."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable
from offload.domain.overrides import Override
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.fleet import stats, workers

_INTERVAL = 5.0
_PRUNED_AT_ONCE = 500


async def upkeep(
    redis: RedisClient,
    worker: str,
    outage: RedisOutage,
    about: Callable[[], dict[str, Any]],
    hear: Callable[[Awaitable[Mapping[str, Override]]], Awaitable[None]],
) -> None:
    """Beat and prune until cancelled, each as far as Redis lets it: one that is out of memory can still be pruned.

    `hear` takes the answer of each beat: the overrides of job functions.
    """
    while True:
        pauses = [
            await _tried(outage, "beat", hear(workers.beat(redis, worker, about(), now_ms()))),
            await _tried(outage, "prune", stats.prune(redis, _PRUNED_AT_ONCE)),
        ]
        await asyncio.sleep(min(pauses))


async def _tried(outage: RedisOutage, part: str, work: Awaitable[Any]) -> float:
    """Return the seconds until it is to be done again."""
    try:
        await work
    except Unavailable as error:
        return outage.failed(part, error)
    outage.served(part)
    return _INTERVAL
