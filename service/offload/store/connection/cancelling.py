"""Cancelling tasks that speak to Redis until they have really ended."""

import asyncio
from collections.abc import Collection
from typing import Any

_AGAIN_S = 0.05


async def cancel_all(tasks: "Collection[asyncio.Task[Any]]") -> None:
    """Cancel tasks and wait for their end; their exceptions are not raised here.

    redis-py looks into a pooled connection under `timeout(0)`, which can swallow a cancellation, so it is asked again.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
