"""Queues as they stand, and what an operator may set on one: pause, limits."""

from collections.abc import Iterable
from typing import Any

from service.domain.queues import Queue, parse_rate
from service.domain.records import QueueState
from service.store import keys
from service.store.connection import RedisClient, reaching_redis


async def declare(redis: RedisClient, queues: Iterable[Queue], served: Iterable[str] = ()) -> None:
    """Write the limits that the code declares; the worker or API that started last has the say.

    `served` names queues without limits that are to be known too: a stock producer that fills one does not say so.
    """
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for name in served:
            pipe.sadd(keys.QUEUES, name)
        for queue in queues:
            key = keys.QUEUE + queue.name
            pipe.sadd(keys.QUEUES, queue.name)
            for name, value in _limits(queue).items():
                if value is None:
                    pipe.hdel(key, name)
                else:
                    pipe.hset(key, name, value)
        await pipe.execute()


async def pause(redis: RedisClient, name: str, *, paused: bool) -> None:
    """Stop claims from a queue, or allow them again; running jobs are left alone."""
    with reaching_redis():
        await redis.hset(keys.QUEUE + name, "paused", "1" if paused else "0")


async def states(redis: RedisClient, names: Iterable[str], now_ms: int) -> list[QueueState]:
    """Return each queue's depth, what runs, how old the oldest waiting job is, and its limits."""
    ordered = sorted(set(names))
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for name in ordered:
            key = keys.queue_key(name)
            pipe.zcount(key, "-inf", now_ms)
            pipe.zcard(key)
            pipe.zcount(keys.RUNNING_ON + name, f"({now_ms}", "+inf")
            pipe.zrange(key, 0, 0, withscores=True)
            pipe.hgetall(keys.QUEUE + name)
        rows = await pipe.execute()
    return [_state(name, rows[i * 5 : i * 5 + 5], now_ms) for i, name in enumerate(ordered)]


async def known(redis: RedisClient) -> set[str]:
    """Return the names of all queues ever used, `default` among them."""
    with reaching_redis():
        return {"default", *(name.decode() for name in await redis.smembers(keys.QUEUES))}


def _state(name: str, row: list[Any], now_ms: int) -> QueueState:
    due, total, running, head, limits = row
    oldest = int(head[0][1]) if head and head[0][1] <= now_ms else None
    count, window = limits.get(b"rate_count"), limits.get(b"rate_ms")
    return QueueState(
        name=name,
        queued=due,
        deferred=max(0, total - due - running),
        running=running,
        oldest_ms=oldest,
        paused=limits.get(b"paused") == b"1",
        max_running=int(limits[b"max_running"]) if b"max_running" in limits else None,
        rate=f"{int(count)}/{int(window) // 1000}s" if count else None,
    )


def _limits(queue: Queue) -> dict[str, int | None]:
    count, window = parse_rate(queue.rate) if queue.rate else (None, None)
    return {"max_running": queue.max_running, "rate_count": count, "rate_ms": window}
