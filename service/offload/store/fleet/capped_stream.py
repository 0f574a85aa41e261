"""Capped streams of small JSON entries that people read backwards: the audit, the stalls."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from offload.domain.clock import rfc3339
from offload.domain.errors import InvalidOptions
from offload.store.connection.connection import RedisClient, reaching_redis

_CURSOR = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_FIELD = "e"
_LOOKED_AT = 2000  # entries a page looks at, at most: a filter that fits few makes a short page, not a slow one
_STEP = 500

Entry = dict[str, Any]


def words(entry: Entry) -> dict[str, bytes]:
    """Return an entry as the fields of a stream."""
    return {_FIELD: orjson.dumps(entry)}


async def append(redis: RedisClient, key: str, entry: Entry, most: int) -> None:
    """Add an entry; the oldest of more than about `most` go. Its time is that of Redis."""
    with reaching_redis():
        await redis.xadd(key, words(entry), maxlen=most, approximate=True)


async def list_entries(
    redis: RedisClient,
    key: str,
    limit: int,
    cursor: str | None,
    fits: Callable[[Entry], bool] | None = None,
    since_ms: int | None = None,
) -> tuple[list[Entry], str | None]:
    """Return up to `limit` entries that fit, newest first, each with `at`, and the cursor of the next page.

    None is older than `since_ms`. A page may be short, or empty, and still have a next one: it looks at 2,000 entries
    at most. Raises InvalidOptions for a bad cursor.
    """
    found: list[Entry] = []
    last, seen = f"({_checked(cursor)}" if cursor else "+", 0
    step = _STEP if fits else limit
    while seen < _LOOKED_AT:
        with reaching_redis():
            rows = await redis.xrevrange(key, max=last, min=since_ms or "-", count=step)
        for row_id, fields in rows:
            last, seen = f"({row_id.decode()}", seen + 1
            entry = {"at": rfc3339(int(row_id.partition(b"-")[0])), **orjson.loads(fields[_FIELD.encode()])}
            if fits is None or fits(entry):
                found.append(entry)
                if len(found) == limit:
                    return found, last[1:]
        if len(rows) < step:
            return found, None
    return found, last[1:]


def _checked(cursor: str) -> str:
    if not _CURSOR.fullmatch(cursor) or any(int(part) >= 2**64 for part in cursor.split("-")):
        msg = f"{cursor!r} is not a cursor; pass the `next` of a page unchanged"
        raise InvalidOptions(msg)
    return cursor
