"""What held an event loop for too long: one record each, as `service.domain.stalls` makes it."""

from collections.abc import Callable
from typing import Any

from service.domain.errors import Unavailable
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


class StallWriter:
    """Records stalls over a blocking connection of its own, for a thread; what Redis does not take is counted."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._redis: Any = None
        self.lost = 0

    def keep(self, stall: dict[str, Any]) -> None:
        """Record a stall, or count it as lost."""
        try:
            if self._redis is None:
                self._redis = self._connect()
            write(self._redis, stall)
        except Unavailable:
            self.lost += 1

    def close(self) -> None:
        """Close the connection."""
        if self._redis is not None:
            self._redis.close()
