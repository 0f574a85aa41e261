"""Calls from a thread to the event loop; one that its caller has given up is never begun."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from offload.domain.errors import Unavailable

T = TypeVar("T")


class Unfinished(Unavailable):
    """The call has begun and not ended in time: its effect is not known."""


def call_on_loop(
    coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, begin_timeout: float, end_timeout: float
) -> T:
    """Run a coroutine on the event loop and return what it returns; call it in a thread.

    Raises Unavailable if the loop has not begun it within `begin_timeout` seconds, and then never does. Raises
    Unfinished if it has begun, and is not done `end_timeout` seconds after that.
    """
    decision = threading.Lock()  # taken by the loop, which begins, or by the caller, who gives up

    async def begin() -> T:
        if not decision.acquire(blocking=False):
            coroutine.close()
            raise asyncio.CancelledError
        return await coroutine

    future = asyncio.run_coroutine_threadsafe(begin(), loop)
    try:
        return future.result(max(0.0, begin_timeout))
    except TimeoutError:
        if future.done():
            raise  # it is the coroutine's own
    if decision.acquire(blocking=False):
        msg = f"the worker's event loop did not take it up within {begin_timeout:.3g} s; it was not carried out"
        raise Unavailable(msg)
    try:
        return future.result(end_timeout)
    except TimeoutError:
        if future.done():
            raise
        msg = f"the worker had not carried it out after {begin_timeout + end_timeout:.3g} s"
        raise Unfinished(msg) from None
