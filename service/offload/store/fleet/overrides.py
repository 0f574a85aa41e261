"""Overrides of where job functions run, set at run time: one small hash, which survives restarts."""

from collections.abc import Mapping, Sequence

import orjson

from offload.documents.functions import MovableTo
from offload.domain.overrides import Override
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis


async def set_override(redis: RedisClient, function: str, runs_in: MovableTo | None, who: str) -> bool:
    """Set where a function runs, or with None undo that; return True if something changed."""
    return bool(await scripts.run(redis, "override", function=function, place=runs_in or "", who=who))


async def everything(redis: RedisClient) -> dict[str, Override]:
    """Return all overrides, by function."""
    with reaching_redis():
        return read(await redis.hgetall(keys.OVERRIDES))


def read(stored: Mapping[bytes, bytes] | Sequence[bytes]) -> dict[str, Override]:
    """Read overrides from an answer of Redis: a mapping, or the flat list of a script."""
    pairs = stored.items() if isinstance(stored, Mapping) else zip(stored[::2], stored[1::2], strict=True)
    return {name.decode(): _override(data) for name, data in pairs}


def _override(data: bytes) -> Override:
    about = orjson.loads(data)
    return Override(about["runs_in"], about["by"], int(about["at"]))
