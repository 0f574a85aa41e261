"""Loads the Lua scripts and calls them by SHA. Each is one atomic step, however many keys it changes."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, ReadOnlyError

from offload.domain.callbacks import KEPT_S
from offload.domain.queues import BAND_MS
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.connection.script_arguments import Arg as _Arg
from offload.store.connection.script_arguments import in_order, numbered

Arg = _Arg
_LUA = Path(__file__).parents[1] / "lua"
_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)


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
    return head + _prelude() + numbered(path.stem, text)


# Read once, at import: an event loop must not wait for a disk.
_SOURCES = {path.stem: _whole(path) for path in _LUA.glob("*.lua")}
_SHAS = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in _SOURCES.items()}


def source(name: str) -> str:
    """Return a script's text with its `-- @include` lines replaced by the parts in `lua/lib`."""
    return _SOURCES[name]


def sha(name: str) -> str:
    """Return the SHA-1 by which Redis knows the script."""
    return _SHAS[name]


async def run(redis: RedisClient, script: str, *items: Arg, now: int = 0, **named: Arg) -> Any:
    """Run a script with its named arguments (`script_arguments`) and the items behind them.

    It is loaded if the server does not have it yet. Raises Unavailable.
    """
    arguments = _arguments(script, now, named, items)
    with reaching_redis():
        try:
            return await redis.execute_command("EVALSHA", sha(script), 0, *arguments)
        except NoScriptError:
            return await redis.execute_command("EVAL", source(script), 0, *arguments)


def run_blocking(redis: Any, script: str, *items: Arg, now: int = 0, **named: Arg) -> Any:
    """As `run`, over a blocking client, for a thread or process without an event loop."""
    arguments = _arguments(script, now, named, items)
    with reaching_redis():
        try:
            return redis.execute_command("EVALSHA", sha(script), 0, *arguments)
        except NoScriptError:
            return redis.execute_command("EVAL", source(script), 0, *arguments)
        except ReadOnlyError:  # the address may lead to another server by now
            redis.connection_pool.disconnect()
            raise


def _arguments(script: str, now: int, named: dict[str, Arg], items: Sequence[Arg]) -> list[Arg]:
    if script == "read":  # it needs no time
        return [*items]
    return [*in_order(script, {"now": now, **named}), *items]
