"""Messages to one worker; written by the scripts.

`wake`, `abort <id>`, `lost <time in ms> <id>`, `overrides`.
"""

from offload.store import keys
from offload.store.connection.connection import RedisClient, reaching_redis


async def next_message(redis: RedisClient, worker: str, timeout: float) -> str | None:
    """Return the next message, or None if no message comes within `timeout` seconds; blocks its connection."""
    with reaching_redis():
        answer = await redis.blpop([keys.INBOX + worker], timeout=timeout)
    return answer[1].decode() if answer else None
