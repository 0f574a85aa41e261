"""The audit: one entry for each act of a person, or of a program with a key; about 10,000 are kept."""

from offload.store import keys
from offload.store.connection.connection import RedisClient
from offload.store.fleet import capped_stream
from offload.store.fleet.capped_stream import Entry

_MOST = 10_000


async def write(redis: RedisClient, who: str, action: str, target: str, count: int, detail: dict[str, object]) -> None:
    """Write an entry: who did what to a target, or to `count` things at once."""
    entry = {"who": who, "action": action, "target": target, "count": count, "detail": detail}
    await capped_stream.append(redis, keys.AUDIT, entry, _MOST)


async def list_entries(
    redis: RedisClient, limit: int, cursor: str | None, action: str | None, who: str | None
) -> tuple[list[Entry], str | None]:
    """Return a page of entries, newest first; `action` and `who` filter."""

    def fits(entry: Entry) -> bool:
        return (action is None or entry["action"] == action) and (who is None or entry["who"] == who)

    return await capped_stream.list_entries(redis, keys.AUDIT, limit, cursor, fits if action or who else None)
