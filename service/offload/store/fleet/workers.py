"""Who is there to run jobs: each worker's description and beat."""

from typing import Any

import orjson

from offload.domain.overrides import Override
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.fleet import overrides

_DEAD_AFTER_S = 30


async def beat(redis: RedisClient, worker: str, about: dict[str, Any], now_ms: int) -> dict[str, Override]:
    """Say that the worker is there; the description goes when no beat follows for half a minute.

    Returns the overrides of job functions: so every worker knows them, whatever words to it were lost.
    """
    said = orjson.dumps({**about, "beat": now_ms})
    return overrides.read(
        await scripts.run(redis, "beat", now=now_ms, worker=worker, description=said, ttl_s=_DEAD_AFTER_S)
    )


async def leave(redis: RedisClient, worker: str, queues: list[str]) -> None:
    """Take a worker that stops off every list."""
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
        found = await redis.mget([keys.WORKER + name for name in names]) if names else []
    return sorted((orjson.loads(data) for data in found if data), key=lambda about: str(about.get("id")))
