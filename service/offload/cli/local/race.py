"""Waits for the first of several coroutines."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*racers: Coroutine[Any, Any, Any], timeout: float | None = None) -> int | None:
    """Run all at once, return the index of the first to end, and cancel the others; None on a timeout.

    An exception of the first to end is raised.
    """
    tasks = [asyncio.ensure_future(racer) for racer in racers]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for place, task in enumerate(tasks):
        if task in done:
            task.result()
            return place
    return None
