"""Watching one event loop: `LoopWatch` detects stalls, `WatchedLoop` reports them too."""

import asyncio
import gc
import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

import structlog

from offload.loopwatch import samples, step_clock
from offload.loopwatch.loop_state import IDLE_BEAT_NS, MS, LoopFigures, LoopState
from offload.loopwatch.reporter import Reporter
from offload.loopwatch.step_clock import Slot
from offload.loopwatch.verdicts import Stall
from offload.loopwatch.watchdog import Watchdog

log = structlog.get_logger(__name__)

IDLE_AFTER_NS = 1_000 * MS


class LoopWatch:
    """Beat, step clock and watchdog of one loop; `sink` gets each stall on the watchdog's thread, and must not block.

    A stall in the first `startup` seconds that is not a step of a job or a request is of kind `startup`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sink: Callable[[Stall], None],
        *,
        threshold: float = 0.1,
        beat: float = 0.05,
        startup: float = 5.0,
    ) -> None:
        limit_ns = round(threshold * 1e9)
        self._beat_ns = min(round(beat * 1e9), limit_ns // 2)
        self._startup_ns = round(startup * 1e9)
        self._state = LoopState(loop, limit_ns, self._wake)
        self.slot = self._state.slot
        self._timer: asyncio.TimerHandle | None = None
        self._undo: Callable[[], None] | None = None
        self._quiet_since = 0
        self._seen_step = -1
        self._watchdog = Watchdog(self._state, sink)
        self.slot.sample_of = self._watchdog.sample_of

    async def start(self) -> None:
        """Begin, on the loop's thread."""
        state = self._state
        gc.callbacks.append(state.on_gc)
        self._undo = step_clock.install(state.loop, self.slot)
        state.begin(self._startup_ns)
        self._schedule(self._beat_ns)
        await asyncio.to_thread(self._watchdog.start)  # it waits until the thread runs

    async def stop(self) -> None:
        """End; every stall that is over by now has been handed to `sink`. Does nothing where it was not started."""
        if not self._watchdog.is_alive():
            return
        if self._timer is not None:
            self._timer.cancel()
        self._state.stamp()  # a stall that was over just now is judged by this beat
        if self._undo is not None:
            self._undo()
        gc.callbacks.remove(self._state.on_gc)
        await asyncio.to_thread(self._watchdog.stop)
        self._state.close()

    def figures(self) -> LoopFigures:
        """Return lag and load of the loop; from any thread, for one reader."""
        return self._state.figures()

    def _schedule(self, after_ns: int) -> None:
        self._state.due_ns = monotonic_ns() + after_ns
        self._timer = self._state.loop.call_later(after_ns / 1e9, self._beat)

    def _beat(self) -> None:
        beat, slot = self._state.stamp(), self.slot
        if self._state.note_lag(beat) >= self._beat_ns or slot.slow:
            self._watchdog.check_now()  # a stall is over: it is judged now, not at the watchdog's next check
        if slot.step != self._seen_step:
            self._seen_step, self._quiet_since = slot.step, beat.at_ns
        if beat.at_ns - self._quiet_since >= IDLE_AFTER_NS:
            slot.is_idle = True
        self._schedule(IDLE_BEAT_NS if slot.is_idle else self._beat_ns)

    def _wake(self) -> None:
        """Return to the normal beat, at the first step after an idle time."""
        self.slot.is_idle = False
        self._seen_step, self._quiet_since = -1, monotonic_ns()
        if self._timer is not None:
            self._timer.cancel()
        self._state.due_ns = self._quiet_since
        self._state.stamp()
        self._schedule(self._beat_ns)
        self._watchdog.check_now()


class WatchedLoop:
    """The watch over the running loop and its reporter; a `threshold` (s) of 0 turns both off.

    `watch` and `slot` are None until it is started, and where it is off.
    """

    def __init__(self, reporter: Reporter, threshold: float, close: Callable[[], None] | None = None) -> None:
        self.reporter = reporter
        self.watch: LoopWatch | None = None
        self._threshold = threshold
        self._close = close  # closes the reporter's sink

    @property
    def slot(self) -> Slot | None:
        """Where the step clock counts."""
        return self.watch.slot if self.watch is not None else None

    async def start(self) -> None:
        """Begin, on the loop's thread."""
        if self._threshold <= 0:
            return
        if not getattr(sys, "_is_gil_enabled", lambda: True)():  # reading another thread's frames can crash (gh-152355)
            log.warning("loop_not_watched", reason="this Python has no GIL: stacks of other threads cannot be read")
            return
        await asyncio.to_thread(self.reporter.start)
        self.watch = LoopWatch(asyncio.get_running_loop(), self.reporter.add_stall, threshold=self._threshold)
        await self.watch.start()

    async def stop(self) -> None:
        """End, after all stalls are reported."""
        if self.watch is not None:
            await self.watch.stop()
            await asyncio.to_thread(self.reporter.stop)
        if self._close is not None:
            await asyncio.to_thread(self._close)


def _loop_codes() -> set[Any]:
    """Return the code at which a stack is cut: asyncio's that runs the loop, and our own driver."""
    base: Any = asyncio.base_events.BaseEventLoop
    handle: Any = asyncio.events.Handle
    own: tuple[Any, ...] = (step_clock.drive, step_clock.drive_child, handle._run, base._run_once, base.run_forever)  # noqa: SLF001
    own += (base.run_until_complete, asyncio.runners.Runner.run, asyncio.runners.run)
    return {function.__code__ for function in own}


samples.LOOP_CODES |= _loop_codes()
