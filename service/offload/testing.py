"""For tests of programs that use Offload: `no_stalls` fails a test that holds its event loop, and names the line.

Stalls by the machine (no CPU time, garbage collection, the GIL in another thread) never fail a test.
"""

import asyncio
import functools
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from offload.domain import stalls
from offload.loopwatch import describe
from offload.loopwatch.step_clock import Scope, Slot, drive
from offload.loopwatch.verdicts import Stall
from offload.loopwatch.watch import LoopWatch

__all__ = ["LoopHeld", "no_stalls"]

_MAX_STALLS = 1000
_TICK_S = 0.25


class LoopHeld(AssertionError):
    """A step of a test held its event loop for too long; the message names line and call, with a hint."""


class _NoStalls:
    """The type of `no_stalls`: see `__call__` and `fixture`."""

    def __call__(self, threshold: float = 0.1) -> AbstractAsyncContextManager[None]:
        """Watch the running loop during the block: `async with no_stalls(threshold=0.1): …`.

        Raises LoopHeld at its end if something held the loop for `threshold` seconds or longer. An error that the block
        raises is passed on, with a note of the stalls.
        """
        return _watching(threshold)

    def fixture(self, threshold: float = 0.1, *, autouse: bool = False) -> Any:
        """Return a pytest fixture that watches the whole of each asynchronous test that uses it.

        In `conftest.py`, for every test: `watched = no_stalls.fixture(autouse=True)`. The fixtures of a test are not
        watched: the loop does not run between them.
        """
        import pytest  # noqa: PLC0415 - the context manager does not need it

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
    measured: deque[Stall] = deque(maxlen=_MAX_STALLS)
    # A test is not a process that starts, so nothing of it is of kind `startup`.
    watch = LoopWatch(loop, measured.append, threshold=threshold, beat=threshold / 5, startup=0)
    factory = loop.get_task_factory()
    await watch.start()
    loop.set_task_factory(factory)  # a worker in the test has its own watch, which counts the tasks of its jobs
    pace = asyncio.create_task(_keep_pace(watch.slot))
    raised: BaseException | None = None
    text = ""
    try:
        yield
    except BaseException as error:
        raised = error
        raise
    finally:
        pace.cancel()
        await asyncio.gather(pace, return_exceptions=True)
        await watch.stop()
        text = await asyncio.to_thread(_complaint, list(measured))
        if text and raised is not None:
            raised.add_note(text)
    if text:
        raise LoopHeld(text)


async def _keep_pace(slot: Slot) -> None:
    """Make a step every quarter second: without steps the watch beats more slowly, and misses short stalls."""

    async def tick() -> None:
        while True:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_TICK_S)

    await drive(tick(), Scope("test", "", "test"), slot)


def _complaint(measured: list[Stall]) -> str:
    """Return the complaint about stalls that blame someone, empty without such stalls."""
    records = stalls.blaming(describe.record(stall, "test", None) for stall in measured if stall.is_over)
    return stalls.complaint(records, str(Path.cwd())) if records else ""
