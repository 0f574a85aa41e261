"""The state of queues; their limits, and pausing them."""

from collections.abc import Iterable
from typing import Any

from offload.domain.queues import BAND_MS, Queue, due_of, parse_rate, priority_of
from offload.domain.records import QueueState
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis


async def declare(redis: RedisClient, queues: Iterable[Queue], served: Iterable[str] = ()) -> None:
    """Write the limits that the code of a worker declares; those of the worker that started last hold.

    `served` names queues to register even without limits: a stock producer declares none.
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


async def pause(redis: RedisClient, name: str, *, paused: bool, who: str = "") -> bool:
    """Stop claims from a queue, or allow them again at once; return True if something changed.

    Running jobs go on. A pause survives restarts, until somebody resumes the queue.
    """
    return bool(await scripts.run(redis, "pause", queue=name, is_paused=int(paused), who=who))


async def states(redis: RedisClient, names: Iterable[str], now_ms: int) -> list[QueueState]:
    """Return the depth of each queue, its running jobs, the age of the oldest waiting job, and its limits."""
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
        oldest = [await _oldest(redis, name, rows[i * 5 + 3], now_ms) for i, name in enumerate(ordered)]
    return [_state(name, rows[i * 5 : i * 5 + 5], oldest[i]) for i, name in enumerate(ordered)]


async def _oldest(redis: RedisClient, name: str, head: list[tuple[bytes, float]], now_ms: int) -> int | None:
    """Return when the longest waiting due job of a queue became due; `head` is the first job of the queue.

    Where that has a priority, jobs of lower priorities behind it may have waited for longer.
    """
    if not head or head[0][1] > now_ms:
        return None
    highest = priority_of(head[0][1])
    if highest == 0:
        return int(head[0][1])
    pipe = redis.pipeline(transaction=False)
    for priority in range(highest + 1):
        first, last = -priority * BAND_MS, now_ms - priority * BAND_MS
        pipe.zrangebyscore(keys.queue_key(name), first, last, start=0, num=1, withscores=True)
    return min((due_of(first[0][1]) for first in await pipe.execute() if first), default=None)


async def known(redis: RedisClient) -> set[str]:
    """Return the names of all queues ever used, `default` among them."""
    with reaching_redis():
        return {"default", *(name.decode() for name in await redis.smembers(keys.QUEUES))}


def _state(name: str, row: list[Any], oldest_ms: int | None) -> QueueState:
    due, total, running, _, limits = row
    count, window = limits.get(b"rate_count"), limits.get(b"rate_ms")
    is_paused = limits.get(b"paused") == b"1"
    return QueueState(
        name=name,
        queued=due,
        deferred=max(0, total - due - running),
        running=running,
        oldest_ms=oldest_ms,
        paused=is_paused,
        max_running=int(limits[b"max_running"]) if b"max_running" in limits else None,
        rate=f"{int(count)}/{int(window) // 1000}s" if count else None,
        paused_by=(limits.get(b"paused_by") or b"").decode() or None if is_paused else None,
        paused_ms=int(limits[b"paused_at"]) if is_paused and b"paused_at" in limits else None,
    )


def _limits(queue: Queue) -> dict[str, int | None]:
    count, window = parse_rate(queue.rate) if queue.rate else (None, None)
    return {"max_running": queue.max_running, "rate_count": count, "rate_ms": window}
