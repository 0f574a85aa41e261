"""Counters that the scripts keep as they go."""

from typing import Any

from service.store import keys, queues, scripts
from service.store.connection import RedisClient, reaching_redis

_HOUR_MS = 3_600_000
_STATUSES = ("deferred", "queued", "running", "retrying", "succeeded", "dead", "aborted")


async def counts_by_status(redis: RedisClient) -> dict[str, int]:
    """Return how many kept jobs there are of each stored status."""
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for status in _STATUSES:
            pipe.zcard(f"{keys.JOBS}:{status}")
        return dict(zip(_STATUSES, await pipe.execute(), strict=True))


async def endings_by_function(redis: RedisClient, now_ms: int, hours: int = 24) -> dict[str, dict[str, int]]:
    """Return per function how often each ending came in the last hours: `{"mail.send": {"succeeded": 12, …}}`."""
    this_hour = now_ms // _HOUR_MS
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for hour in range(this_hour - hours + 1, this_hour + 1):
            pipe.hgetall(f"{keys.COUNTS}{hour}")
        rows = await pipe.execute()
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        for counter, n in row.items():
            ending, _, function = counter.decode().partition(" ")
            endings = found.setdefault(function, {})
            endings[ending] = endings.get(ending, 0) + int(n)
    return found


async def summary(redis: RedisClient, now_ms: int) -> dict[str, Any]:
    """Return counts by status, the queues' depths, and endings by function over the last 24 hours."""
    depths = await queues.states(redis, await queues.known(redis), now_ms)
    return {
        "statuses": await counts_by_status(redis),
        "queues": {
            q.name: {"queued": q.queued, "deferred": q.deferred, "running": q.running, "paused": q.paused}
            for q in depths
        },
        "functions": await endings_by_function(redis, now_ms),
    }


async def prune(redis: RedisClient, limit: int = 1000, abort_age_ms: int = _HOUR_MS) -> int:
    """Take out up to `limit` records that have outlived their keep; return how many went."""
    return int(await scripts.run(redis, "prune", 0, limit, abort_age_ms))
