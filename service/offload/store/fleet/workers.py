"""The live workers: the description and the heartbeat of each. Heartbeats are timed by the clock of Redis alone."""

from typing import Any

import orjson

from offload.domain.overrides import Override
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.fleet import overrides

_DEAD_AFTER_S = 30


async def heartbeat(
    redis: RedisClient, worker: str, description: dict[str, Any], now_ms: int = 0
) -> dict[str, Override]:
    """Note that the worker is alive; the description expires after half a minute without a heartbeat.

    Returns the overrides of job functions, so that a worker knows them whatever messages to it were lost. `now_ms` of 0
    means now, by the clock of Redis.
    """
    data = orjson.dumps({"id": worker, **description})
    return overrides.read(
        await scripts.run(redis, "heartbeat", now=now_ms, worker=worker, description=data, ttl_s=_DEAD_AFTER_S)
    )


async def leave(redis: RedisClient, worker: str, queues: list[str]) -> None:
    """Remove a stopping worker from every list."""
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        pipe.zrem(keys.WORKERS, worker)
        pipe.delete(keys.WORKER + worker, keys.INBOX + worker)
        for queue in queues:
            pipe.zrem(keys.IDLE + queue, worker)
        await pipe.execute()


async def everyone(redis: RedisClient) -> list[dict[str, Any]]:
    """Return the description of every live worker, by name."""
    with reaching_redis():
        names = [name.decode() for name in await redis.zrange(keys.WORKERS, 0, -1)]
        stored = await redis.mget([keys.WORKER + name for name in names]) if names else []
    descriptions = (orjson.loads(data) for data in stored if data)
    return sorted(descriptions, key=lambda description: str(description.get("id")))


async def clock_ms(redis: RedisClient) -> int:
    """Return the time by the clock of Redis, against which the age of a heartbeat is measured."""
    with reaching_redis():
        seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
