"""Watching one event loop: its beat, its step clock and its watchdog, begun and ended together."""

import asyncio
import gc
import threading
import time
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from offload.loopwatch import samples, step_clock
from offload.loopwatch.beat import Beat, beat
from offload.loopwatch.figures import Figures
from offload.loopwatch.samples import Kernel
from offload.loopwatch.stall import Stall
from offload.loopwatch.step_clock import Slot
from offload.loopwatch.suspects import clock_of
from offload.loopwatch.watchdog import IDLE_BEAT_NS, MS, Watchdog

IDLE_AFTER_NS = 1_000 * MS
STARTUP_NS = 5_000 * MS


class LoopWatch:
    """Start it on the loop's thread; `sink` is called by the watchdog's thread with each stall, and must not block.

    What holds the loop within `STARTUP_NS` of the start, and is no step of a job or a request, is of kind `startup`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sink: Callable[[Stall], None],
        *,
        threshold: float = 0.1,
        beat: float = 0.05,
    ) -> None:
        self.loop = loop
        self.sink = sink
        self.limit_ns = round(threshold * 1e9)
        self.beat_ns = min(round(beat * 1e9), self.limit_ns // 2)
        self.slot = Slot(self.limit_ns, self._wake)
        self.startup_ns = 0
        self.beats: deque[Beat] = deque(maxlen=64)
        self._gc_ns = self._gc_began = 0
        self._timer: asyncio.TimerHandle | None = None
        self._undo: Callable[[], None] | None = None
        self._quiet_since = 0
        self._seen_step = -1
        self._due_ns = 0
        self._lag_ns = self._max_lag_ns = 0
        self._asked = (monotonic_ns(), 0)  # when figures were asked for last, and how busy it had been by then
        self.dog = Watchdog(self)
        self.slot.sample_of = self.dog.sample_of

    async def start(self) -> None:
        """Begin, on the loop's thread."""
        self.thread = threading.get_ident()
        self.kernel = Kernel(threading.get_native_id())
        self._clock = clock_of(self.thread)
        gc.callbacks.append(self._on_gc)
        self._undo = step_clock.install(self.loop, self.slot)
        self._due_ns = monotonic_ns()
        self.startup_ns = self._due_ns + STARTUP_NS
        self._stamp()
        self._schedule(self.beat_ns)
        await asyncio.to_thread(self.dog.start)  # it waits for the thread to be there

    async def stop(self) -> None:
        """End; returns when all that has ended by now has been told. A watch that never began has nothing to end."""
        if not self.dog.is_alive():
            return
        if self._timer is not None:
            self._timer.cancel()
        self._stamp()  # a stall that was over just now is judged by this beat
        if self._undo is not None:
            self._undo()
        gc.callbacks.remove(self._on_gc)
        await asyncio.to_thread(self.dog.stop)
        self.kernel.close()

    def figures(self) -> Figures:
        """Return how the loop is doing; from any thread, and for one asker."""
        now, slot = monotonic_ns(), self.slot
        started = slot.started_ns
        busy = slot.busy_ns + (now - started if started else 0)
        (before, busy_before), self._asked = self._asked, (now, busy)
        overdue = now - self._due_ns if self._due_ns else 0
        lag, most, self._max_lag_ns = max(self._lag_ns, overdue), self._max_lag_ns, 0
        share = max(0, busy - busy_before) / max(now - before, 1)
        return Figures(lag / 1e6, max(most, lag) / 1e6, min(share, 1.0), dict(slot.spent_ns))

    def cpu_ns(self) -> int:
        """Return the processor time of the loop's thread, from any thread; 0 where it is gone, or nobody tells."""
        try:
            return time.clock_gettime_ns(self._clock) if self._clock is not None else 0
        except OSError:
            return 0

    def _stamp(self) -> None:
        self.beats.append(beat(self._due_ns, self.slot.busy_ns, self._gc_ns))

    def _schedule(self, after_ns: int) -> None:
        self._due_ns = monotonic_ns() + after_ns
        self._timer = self.loop.call_later(after_ns / 1e9, self._beat)

    def _beat(self) -> None:
        self._stamp()
        slot, now = self.slot, self.beats[-1].at_ns
        self._lag_ns = max(0, now - self._due_ns)
        self._max_lag_ns = max(self._max_lag_ns, self._lag_ns)
        if slot.slow or self._lag_ns >= self.beat_ns:
            self.dog.look()  # something is over: it is told now, and not when the watchdog would have looked again
        if slot.step != self._seen_step:
            self._seen_step, self._quiet_since = slot.step, now
        if now - self._quiet_since >= IDLE_AFTER_NS:
            slot.is_idle = True
        self._schedule(IDLE_BEAT_NS if slot.is_idle else self.beat_ns)

    def _wake(self) -> None:
        """Beat at the full pace again, at the first step after a quiet time."""
        self.slot.is_idle = False
        self._seen_step, self._quiet_since = -1, monotonic_ns()
        if self._timer is not None:
            self._timer.cancel()
        self._due_ns = self._quiet_since
        self._stamp()
        self._schedule(self.beat_ns)
        self.dog.look()

    def _on_gc(self, phase: str, info: dict[str, int]) -> None:
        """Count the collections of the oldest generation; those of others are short."""
        if info["generation"] < 2:
            return
        if phase == "start":
            self._gc_began = monotonic_ns()
        elif self._gc_began:
            self._gc_ns += monotonic_ns() - self._gc_began
            self._gc_began = 0


def _loops_own() -> set[Any]:
    """Return the code at which a stack is cut: what runs the loop, and our own driver, are never to blame."""
    base: Any = asyncio.base_events.BaseEventLoop
    handle: Any = asyncio.events.Handle
    own: tuple[Any, ...] = (step_clock.drive, step_clock.follow, handle._run, base._run_once, base.run_forever)  # noqa: SLF001
    own += (base.run_until_complete, asyncio.runners.Runner.run, asyncio.runners.run)
    return {one.__code__ for one in own}


samples.LOOP_CODES |= _loops_own()
