"""Loads the Lua scripts and calls them by SHA: the only way this package changes more than one key at a time."""

import hashlib
import re
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, ReadOnlyError

from offload.domain.callbacks import KEPT_S
from offload.domain.queues import BAND_MS
from offload.store.connection.connection import RedisClient, reaching_redis

_LUA = Path(__file__).parents[1] / "lua"
_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)

Arg = str | bytes | int | float


def _read(path: Path) -> str:
    return _INCLUDE.sub(lambda match: _read(_LUA / "lib" / f"{match[1]}.lua"), path.read_text())


_CONSTANTS = {"BAND": BAND_MS, "CALLBACK_KEPT": KEPT_S * 1000}


def _prelude() -> str:
    """Return the constants that the scripts share with Python, as locals on one line."""
    return f"local {', '.join(_CONSTANTS)} = {', '.join(map(str, _CONSTANTS.values()))}\n"


def _whole(path: Path) -> str:
    """Return a script with its parts; a line `#!lua …` must stay the first."""
    head, text = "", _read(path)
    if text.startswith("#!"):
        head, _, text = text.partition("\n")
        head += "\n"
    return head + _prelude() + text


# Read once, at import: an event loop must not wait for a disk.
_SOURCES = {path.stem: _whole(path) for path in _LUA.glob("*.lua")}
_SHAS = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in _SOURCES.items()}


def source(name: str) -> str:
    """Return a script's text with its `-- @include` lines replaced by the parts in `lua/lib`."""
    return _SOURCES[name]


def sha(name: str) -> str:
    """Return the SHA-1 by which Redis knows the script."""
    return _SHAS[name]


async def run(redis: RedisClient, name: str, *args: Arg) -> Any:
    """Run a script, loading it where the server does not know it yet; raises Unavailable when Redis is away."""
    with reaching_redis():
        try:
            return await redis.execute_command("EVALSHA", sha(name), 0, *args)
        except NoScriptError:
            return await redis.execute_command("EVAL", source(name), 0, *args)


def run_blocking(redis: Any, name: str, *args: Arg) -> Any:
    """As `run`, over a plain blocking connection, for a thread or process without an event loop."""
    with reaching_redis():
        try:
            return redis.execute_command("EVALSHA", sha(name), 0, *args)
        except NoScriptError:
            return redis.execute_command("EVAL", source(name), 0, *args)
        except ReadOnlyError:  # the address may lead to another server by now
            redis.connection_pool.disconnect()
            raise
