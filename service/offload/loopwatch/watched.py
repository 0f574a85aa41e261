"""A loop that is watched and whose stalls are told: the watch and the reporter, started and stopped as one."""

import asyncio
import sys
from collections.abc import Callable

import structlog

from offload.loopwatch.reporter import Reporter
from offload.loopwatch.step_clock import Slot
from offload.loopwatch.watch import LoopWatch

log = structlog.get_logger(__name__)


class WatchedLoop:
    """Watches the running loop; with a `threshold` (s) of 0 it does nothing at all, and `watch` and `slot` are None."""

    def __init__(self, reporter: Reporter, threshold: float, close: Callable[[], None] | None = None) -> None:
        self.reporter = reporter
        self.watch: LoopWatch | None = None
        self._threshold = threshold
        self._close = close  # of what the reporter tells it to

    @property
    def slot(self) -> Slot | None:
        """Where the step clock counts, while the loop is watched."""
        return self.watch.slot if self.watch is not None else None

    async def start(self) -> None:
        """Begin, on the loop's thread."""
        if self._threshold <= 0:
            return
        if not getattr(sys, "_is_gil_enabled", lambda: True)():  # reading another thread's frames can crash (gh-152355)
            log.warning("loop_not_watched", reason="this Python has no GIL: stacks of other threads cannot be read")
            return
        await asyncio.to_thread(self.reporter.start)
        self.watch = LoopWatch(asyncio.get_running_loop(), self.reporter.put, threshold=self._threshold)
        await self.watch.start()

    async def stop(self) -> None:
        """End; what is still to be told is told first."""
        if self.watch is not None:
            await self.watch.stop()
            await asyncio.to_thread(self.reporter.stop)
        if self._close is not None:
            await asyncio.to_thread(self._close)
