"""State of one watched loop: written on the loop's thread, read from the watchdog's; neither imports the other."""

import asyncio
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic_ns, process_time_ns, thread_time_ns
from typing import NamedTuple

from offload.loopwatch.samples import SchedStat
from offload.loopwatch.step_clock import Slot
from offload.loopwatch.suspects import clock_of

MS = 1_000_000
IDLE_BEAT_NS = 500 * MS
_KEPT_BEATS = 64
_THREAD = getattr(resource, "RUSAGE_THREAD", None)  # only Linux has it
COUNTS_SWITCHES = _THREAD is not None


class Beat(NamedTuple):
    """One beat of the loop: its time, when it was due, and the loop thread's totals by then, in ns since it began."""

    at_ns: int
    due_ns: int
    cpu_ns: int
    switches: int
    busy_ns: int
    gc_ns: int
    process_ns: int


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """Lag and load of one loop, for metrics and for the list of workers; each call begins a new interval.

    `lag_ms` is how late the latest beat was, or how overdue the next is; `max_lag_ms` the maximum in the interval.
    `busy` is the share (0 to 1) of the interval in which steps of jobs and requests held the loop. `loop_ns` is the
    loop time of each job function or route (`GET /v1/jobs`) since the watch began; beyond 200 names the rest is
    `other`.
    """

    lag_ms: float
    max_lag_ms: float
    busy: float
    loop_ns: Mapping[str, int]


class LoopState:
    """Beats, step clock and kernel counters of one loop; `wake` is called by the first step after an idle time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_ns: int, wake: Callable[[], None]) -> None:
        self.loop = loop
        self.limit_ns = limit_ns
        self.slot = Slot(limit_ns, wake)
        self.beats: deque[Beat] = deque(maxlen=_KEPT_BEATS)
        self.due_ns = 0
        self.startup_ns = 0
        self._lag_ns = self._max_lag_ns = 0
        self._gc_ns = self._gc_began_ns = 0
        self._interval = (monotonic_ns(), 0)  # when figures were last asked for, and how busy the loop had been by then

    def begin(self, startup_ns: int) -> None:
        """Read the identity of the loop's thread, on that thread, and make the first beat."""
        self.thread = threading.get_ident()
        self.sched_stat = SchedStat(threading.get_native_id())
        self._clock = clock_of(self.thread)
        self.due_ns = monotonic_ns()
        self.startup_ns = self.due_ns + startup_ns if startup_ns else 0
        self.stamp()

    def close(self) -> None:
        """Close what `begin` opened."""
        self.sched_stat.close()

    def stamp(self) -> Beat:
        """Add a beat, on the loop's thread."""
        beat = Beat(
            monotonic_ns(),
            self.due_ns,
            thread_time_ns(),
            switches(),
            self.slot.busy_ns,
            self._gc_ns,
            process_time_ns(),
        )
        self.beats.append(beat)
        return beat

    def note_lag(self, beat: Beat) -> int:
        """Note how late a beat was, and return it in ns."""
        lag_ns = self._lag_ns = max(0, beat.at_ns - self.due_ns)
        self._max_lag_ns = max(self._max_lag_ns, lag_ns)
        return lag_ns

    def on_gc(self, phase: str, info: dict[str, int]) -> None:
        """Time the collections of the oldest generation, as a callback of `gc`; those of the others are short."""
        if info["generation"] < 2:
            return
        if phase == "start":
            self._gc_began_ns = monotonic_ns()
        elif self._gc_began_ns:
            self._gc_ns += monotonic_ns() - self._gc_began_ns
            self._gc_began_ns = 0

    def cpu_ns(self) -> int:
        """Return the CPU time of the loop's thread, from any thread; 0 if the thread or its clock does not exist."""
        try:
            return time.clock_gettime_ns(self._clock) if self._clock is not None else 0
        except OSError:
            return 0

    def figures(self) -> LoopFigures:
        """Return lag and load, from any thread; for one reader, since each call begins a new interval."""
        now, slot = monotonic_ns(), self.slot
        started = slot.started_ns
        busy = slot.busy_ns + (now - started if started else 0)
        (before, busy_before), self._interval = self._interval, (now, busy)
        overdue = now - self.due_ns if self.due_ns else 0
        lag, max_lag, self._max_lag_ns = max(self._lag_ns, overdue), self._max_lag_ns, 0
        share = max(0, busy - busy_before) / max(now - before, 1)
        return LoopFigures(lag / 1e6, max(max_lag, lag) / 1e6, min(share, 1.0), dict(slot.spent_ns))


def switches() -> int:
    """Return how often this thread has given up its processor by itself; always 0 if that is not counted."""
    return resource.getrusage(_THREAD).ru_nvcsw if _THREAD is not None else 0
