"""A stock arq worker, as a process of its own: nothing of Offload is imported here.

It has what helps it: uvloop, pickle (its own default and its fastest serializer), logs from WARNING on.
"""

import argparse
import asyncio
import logging
from typing import Any

import uvloop
from arq.connections import RedisSettings
from arq.worker import Worker, func

from benchmarks import probe


async def noop(_ctx: dict[Any, Any]) -> None:
    """Do nothing."""


async def nap(_ctx: dict[Any, Any]) -> None:
    """Wait 10 ms."""
    await asyncio.sleep(0.01)


async def tell(_ctx: dict[Any, Any]) -> None:
    """Say that it has begun."""
    probe.say()


FUNCTIONS = [func(fn, name=f"workload.{fn.__name__}") for fn in (noop, nap, tell)]


def worker(path: str, slots: int, **arguments: Any) -> Worker:
    """Make a worker with arq's defaults but for the slots; results are kept for an hour, as by default."""
    return Worker(FUNCTIONS, redis_settings=RedisSettings(unix_socket_path=path), max_jobs=slots, **arguments)


def main() -> None:
    """Run one worker until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--slots", type=int, default=10)
    asked = parser.parse_args()
    logging.basicConfig(level="WARNING")
    asyncio.set_event_loop(uvloop.new_event_loop())
    worker(asked.socket, asked.slots).run()


if __name__ == "__main__":
    main()
