"""Gathers the facts for an explanation: a handful of round trips, none of which grows with the queue."""

from collections.abc import Iterable
from typing import Any

from offload.domain.explanations import Facts, JobRef, WorkerView
from offload.domain.queues import due_of
from offload.domain.records import JobRecord, QueueState
from offload.store import keys
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.fleet import queues, workers

_NAMED = 5  # other jobs that an explanation names


async def gather(redis: RedisClient, record: JobRecord) -> Facts:
    """Return the facts of a job, given its record."""
    name, offered = await _where(redis, record)
    key, running = keys.queue_key(name), keys.RUNNING_ON + name
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        pipe.time()
        pipe.zrank(key, record.id)
        pipe.zrange(key, 0, _NAMED)
        pipe.exists(keys.ARQ_IN_PROGRESS + record.id)
        pipe.hmget(keys.RECORD + record.id, "waits_for", "waits_token", "token", "requeue_reason")
        pipe.hmget(keys.QUEUE + name, "rate_count", "rate_ms")
        pipe.zrevrange(running, 0, _NAMED, withscores=True)
        (
            (s, us),
            rank,
            head,
            is_leased,
            (waits_for, waits_token, token, requeue_reason),
            (rate, window),
            held,
        ) = await pipe.execute()
    now_ms = s * 1000 + us // 1000
    is_due = offered is not None and offered <= now_ms
    before = [i for i in head if i != record.id.encode()][: min(rank or 0, _NAMED)] if is_due else []
    holders = [i for i, ends in held if ends > now_ms and i != record.id.encode()][:_NAMED]
    named = await _job_refs(redis, [*before, *holders])
    (state,) = await queues.states(redis, [name], now_ms)
    return Facts(
        record=record,
        queue=state,
        workers=[_server(about) for about in await workers.everyone(redis)],
        now_ms=now_ms,
        position=rank if is_due else None,
        before=named[: len(before)],
        holders=named[len(before) :],
        offered_ms=offered,
        is_leased=bool(is_leased),
        next_start_ms=await _next_start(redis, state, rate, window, now_ms),
        waits_for=waits_for.decode() if waits_for and waits_token == token else None,
        requeue_reason=requeue_reason.decode() if requeue_reason else None,
    )


async def _where(redis: RedisClient, record: JobRecord) -> tuple[str, int | None]:
    """Return the queue that has the job and when it offers it; a stock producer's job has no record with its queue."""
    with reaching_redis():
        score = await redis.zscore(keys.queue_key(record.queue), record.id)
        if score is None and not record.status.is_terminal:
            names = sorted(await queues.known(redis))
            pipe = redis.pipeline(transaction=False)
            for name in names:
                pipe.zscore(keys.queue_key(name), record.id)
            for name, found in zip(names, await pipe.execute(), strict=True):
                if found is not None:
                    return name, due_of(found)
    return record.queue, None if score is None else due_of(score)


async def _job_refs(redis: RedisClient, ids: Iterable[bytes]) -> list[JobRef]:
    found = list(ids)
    if not found:
        return []
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for job_id in found:
            pipe.hmget(keys.RECORD + job_id.decode(), "function", "worker", "started")
        rows = await pipe.execute()
    return [_one(job_id, *row) for job_id, row in zip(found, rows, strict=True)]


def _one(job_id: bytes, function: bytes | None, worker: bytes | None, started: bytes | None) -> JobRef:
    is_running = worker is not None and started is not None
    return JobRef(
        job_id.decode(),
        function.decode() if function else None,
        worker.decode() if is_running and worker else None,
        int(started) if is_running and started else None,
    )


async def _next_start(
    redis: RedisClient, state: QueueState, rate: bytes | None, window: bytes | None, now_ms: int
) -> int | None:
    """Return when the queue's rate allows another start, None if it does now: when enough starts are old enough."""
    if rate is None or window is None:
        return None
    key, since = keys.RATE + state.name, f"({now_ms - int(window)}"
    with reaching_redis():
        started = await redis.zcount(key, since, "+inf")
        if started < int(rate):
            return None
        first = await redis.zrangebyscore(key, since, "+inf", start=started - int(rate), num=1, withscores=True)
    return int(first[0][1]) + int(window) if first else None


def _server(about: dict[str, Any]) -> WorkerView:
    return WorkerView(
        id=str(about.get("id")),
        queues=frozenset(about.get("queues") or ()),
        functions=frozenset(about.get("functions") or ()),
        slots=int(about.get("slots") or 0),
        running=int(about.get("running") or 0),
        is_stopping=bool(about.get("stopping")),
        beat_ms=about.get("beat"),
    )
