"""Holding an answer until a job has ended: as long as was asked for, and as long as the client is there."""

import asyncio
import re
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from offload.api.options import LONGEST_WAIT_S

T = TypeVar("T")
_WAIT = re.compile(rb"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


def preferred(prefer: bytes | None) -> int | None:
    """Return the seconds of `Prefer: wait=N` (RFC 7240, 4.3), at most 60; None where that is not asked for.

    A preference that is not understood is ignored, as section 2 of the RFC says.
    """
    found = _WAIT.search(prefer) if prefer else None
    return min(int(found[1]), int(LONGEST_WAIT_S)) if found else None


async def while_connected(receive: Receive, answer: Awaitable[T]) -> T:
    """Return the answer; raises ClientDisconnect, and awaits it no longer, when the client goes away before it comes.

    Only for a request whose body has been read.
    """
    limit = asyncio.timeout(None)

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        limit.reschedule(asyncio.get_running_loop().time())

    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            try:
                async with limit:
                    return await answer
            finally:
                watching.cancel()
    except ExceptionGroup as errors:
        error = errors.exceptions[0]
        raise ClientDisconnect if limit.expired() else error from None
    raise AssertionError  # a TaskGroup swallows nothing
