"""What held an event loop for too long: one record each, as `service.domain.stalls` makes it."""

from typing import Any

from service.store import keys, streams
from service.store.connection import RedisClient, reaching_redis

MOST = 1000


async def page(redis: RedisClient, limit: int, cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of stalls, newest first."""
    return await streams.page(redis, keys.STALLS, limit, cursor)


def write(redis: Any, stall: dict[str, Any]) -> None:
    """Record a stall, over the guardian's blocking connection; raises Unavailable."""
    with reaching_redis():
        redis.xadd(keys.STALLS, streams.words(stall), maxlen=MOST, approximate=True)
