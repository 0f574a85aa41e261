"""For the tests of those who use Offload: `no_stalls` fails a test that holds its event loop, and names the line.

What the machine did (no processor, the garbage collector, another thread's GIL) never fails one.
"""

import asyncio
import functools
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from offload.domain import complaints
from offload.loopwatch import describe
from offload.loopwatch.stall import Stall
from offload.loopwatch.step_clock import Scope, Slot, drive
from offload.loopwatch.watch import LoopWatch

__all__ = ["LoopHeld", "no_stalls"]

_MOST = 1000
_TICK_S = 0.25


class LoopHeld(AssertionError):
    """A step of a test held its event loop for too long; the message names line and call, and what to do instead."""


class _NoStalls:
    """See `__call__`, and `fixture`."""

    def __call__(self, threshold: float = 0.1) -> AbstractAsyncContextManager[None]:
        """Watch the running loop during the block: `async with no_stalls(threshold=0.1): …`.

        Raises LoopHeld at its end where something held the loop for `threshold` seconds or longer. An error that the
        block raises goes on, with a note of what held the loop.
        """
        return _watching(threshold)

    def fixture(self, threshold: float = 0.1, *, autouse: bool = False) -> Any:
        """Return a pytest fixture that does so for the whole of each asynchronous test that asks for it.

        In `conftest.py`, for every test: `watched = no_stalls.fixture(autouse=True)`. Fixtures of a test are not
        watched, the time between two of them is none of the loop's.
        """
        import pytest  # noqa: PLC0415 - the context manager does without

        @pytest.fixture(autouse=autouse)
        def watched(request: pytest.FixtureRequest) -> Iterator[None]:
            item: Any = request.node
            test = item.obj
            if inspect.iscoroutinefunction(test):
                item.obj = _watched(test, threshold)
            yield
            item.obj = test

        return watched


no_stalls = _NoStalls()


def _watched(test: Callable[..., Any], threshold: float) -> Callable[..., Any]:
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> Any:
        async with _watching(threshold):
            return await test(*args, **kwargs)

    return run


@asynccontextmanager
async def _watching(threshold: float) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    found: deque[Stall] = deque(maxlen=_MOST)
    watch = LoopWatch(loop, found.append, threshold=threshold, beat=threshold / 5)
    factory = loop.get_task_factory()
    await watch.start()
    loop.set_task_factory(factory)  # a worker in the test has a watch of its own, which counts the tasks of its jobs
    watch.startup_ns = 0  # a test is no process that starts
    pace = asyncio.create_task(_keep_pace(watch.slot))
    raised: BaseException | None = None
    told = ""
    try:
        yield
    except BaseException as error:
        raised = error
        raise
    finally:
        pace.cancel()
        await asyncio.gather(pace, return_exceptions=True)
        await watch.stop()
        told = await asyncio.to_thread(_told, list(found))
        if told and raised is not None:
            raised.add_note(told)
    if told:
        raise LoopHeld(told)


async def _keep_pace(slot: Slot) -> None:
    """Make a step now and then: without any the watch would beat more slowly, and miss short stalls."""

    async def tick() -> None:
        while True:  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(_TICK_S)

    await drive(tick(), Scope("test", "", "test"), slot)


def _told(found: list[Stall]) -> str:
    """Return what to say of stalls that somebody is to blame for, nothing where there are none."""
    over = [describe.record(one, "test", None) for one in found if one.is_over]
    blamed = complaints.blamed(over)
    return complaints.complaint(blamed, str(Path.cwd())) if blamed else ""
