"""Loads the Lua scripts and calls them by SHA: the only way this package changes more than one key at a time."""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from service.store.connection import RedisClient, reaching_redis

_LUA = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)

Arg = str | bytes | int | float


@cache
def source(name: str) -> str:
    """Return a script's text with its `-- @include` lines replaced by the parts in `lua/lib`."""
    text = (_LUA / f"{name}.lua").read_text()
    return _INCLUDE.sub(lambda match: (_LUA / "lib" / f"{match[1]}.lua").read_text(), text)


@cache
def sha(name: str) -> str:
    """Return the SHA-1 by which Redis knows the script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


async def run(redis: RedisClient, name: str, *args: Arg) -> Any:
    """Run a script, loading it where the server does not know it yet; raises Unavailable when Redis is away."""
    with reaching_redis():
        try:
            return await redis.execute_command("EVALSHA", sha(name), 0, *args)
        except NoScriptError:
            return await redis.execute_command("EVAL", source(name), 0, *args)
