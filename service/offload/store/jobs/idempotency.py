"""Idempotency keys in Redis: each is a request under way, or the ids of the jobs that it enqueued, for a day.

A key is marked here before anything is enqueued; enqueue.lua stores the jobs only while the mark holds, and writes
their ids in its place. So a request is carried out once even where its answer, or the process, was lost.
"""

import secrets

import orjson

from offload.domain import idempotency
from offload.domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from offload.domain.idempotency import Mark
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient


async def begin(redis: RedisClient, who: str, key: str, fingerprint: str, stands_ms: int) -> Mark | tuple[str, ...]:
    """Mark a request as under way, for `stands_ms` at most; or return the ids of the jobs that it enqueued before.

    Raises IdempotencyKeyInUse, IdempotencyKeyReused.
    """
    mark = Mark(idempotency.hashed(who, key), orjson.dumps({"fingerprint": fingerprint, "owner": secrets.token_hex(8)}))
    answer: bytes = await scripts.run(redis, "idempotency", key=mark.key, mark=mark.value, ttl_ms=stands_ms)
    if answer == b"begun":
        return mark
    known = orjson.loads(answer)
    if known["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused(key)
    if "ids" not in known:
        raise IdempotencyKeyInUse(key)
    return tuple(known["ids"])


async def abandon(redis: RedisClient, mark: Mark) -> None:
    """Let the key of a request that enqueued nothing be used again."""
    await scripts.run(redis, "idempotency", key=mark.key, mark=mark.value, ttl_ms=0)
