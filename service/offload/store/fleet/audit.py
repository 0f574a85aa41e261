"""Who did what: one entry for each act of a person, or of a program with a key, kept for about 10,000 of them."""

from offload.store import keys
from offload.store.connection.connection import RedisClient
from offload.store.fleet import capped_stream
from offload.store.fleet.capped_stream import Entry

_MOST = 10_000


async def write(redis: RedisClient, who: str, action: str, target: str, count: int, detail: dict[str, object]) -> None:
    """Note that somebody did something to a target, and to how many things at once."""
    entry = {"who": who, "action": action, "target": target, "count": count, "detail": detail}
    await capped_stream.append(redis, keys.AUDIT, entry, _MOST)


async def list_entries(
    redis: RedisClient, limit: int, cursor: str | None, action: str | None, who: str | None
) -> tuple[list[Entry], str | None]:
    """Return a page of entries, newest first, of one action or person where that is said."""

    def fits(entry: Entry) -> bool:
        return (action is None or entry["action"] == action) and (who is None or entry["who"] == who)

    return await capped_stream.list_entries(redis, keys.AUDIT, limit, cursor, fits if action or who else None)
