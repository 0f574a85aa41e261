"""Watching one event loop: the beat on the loop, the watchdog beside it, and what comes of both."""

import asyncio
import contextlib
import gc
import resource
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic_ns, process_time_ns, thread_time_ns
from types import CodeType
from typing import Any, NamedTuple

from service.loopwatch import clock, samples
from service.loopwatch.clock import Scope, Slot, Slow
from service.loopwatch.figures import Figures
from service.loopwatch.judge import Evidence, Kind, judge
from service.loopwatch.samples import Kernel, Sample

MS = 1_000_000
MOST_SAMPLES = 24
IDLE_AFTER_NS = 1_000 * MS
IDLE_BEAT_NS = 500 * MS
_PIN_GC = sys.version_info < (3, 11, 9)  # a collection inside sys._current_frames() can deadlock there (gh-106883)


class Beat(NamedTuple):
    """What the loop's thread says of itself, each time in ns since it began."""

    at_ns: int
    cpu_ns: int
    switches: int
    busy_ns: int
    gc_ns: int
    step: int
    due_ns: int
    process_ns: int


@dataclass(slots=True)
class Stall:
    """One thing that held the loop; `sample` names the line, if one was taken in it."""

    kind: Kind
    scope: Scope | None
    held_ns: int
    ended_ns: int
    samples: list[Sample]
    evidence: Evidence
    is_over: bool = True


class LoopWatch:
    """Start it on the loop's thread; `sink` is called by the watchdog's thread with each stall, and must not block."""

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
        self.gc_ns = 0
        self._gc_began = 0
        self.beats: deque[Beat] = deque(maxlen=64)
        self._timer: asyncio.TimerHandle | None = None
        self._undo: Callable[[], None] | None = None
        self._quiet_since = 0
        self._seen_step = -1
        self._due_ns = 0
        self._lag_ns = self._max_lag_ns = 0
        self._asked = (monotonic_ns(), 0)  # when figures were asked for last, and how busy it had been by then
        self.dog = Watchdog(self)

    async def start(self) -> None:
        """Begin, on the loop's thread."""
        self.thread = threading.get_ident()
        self.kernel = Kernel(threading.get_native_id())
        gc.callbacks.append(self._on_gc)
        self._undo = clock.install(self.loop, self.slot)
        self._stamp(monotonic_ns())
        self._schedule(self.beat_ns)
        await asyncio.to_thread(self.dog.start)  # it waits for the thread to be there

    async def stop(self) -> None:
        """End; returns when the watchdog has. One that never began has nothing to end."""
        if not self.dog.is_alive():
            return
        if self._timer is not None:
            self._timer.cancel()
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
        lag, self._max_lag_ns, most = max(self._lag_ns, overdue), 0, self._max_lag_ns
        share = max(0, busy - busy_before) / max(now - before, 1)
        return Figures(lag / 1e6, max(most, lag) / 1e6, min(share, 1.0), dict(slot.spent_ns))

    def _stamp(self, due_ns: int) -> None:
        used = resource.getrusage(resource.RUSAGE_THREAD)
        slot = self.slot
        self.beats.append(
            Beat(
                monotonic_ns(),
                thread_time_ns(),
                used.ru_nvcsw,
                slot.busy_ns,
                self.gc_ns,
                slot.step,
                due_ns,
                process_time_ns(),
            )
        )

    def _schedule(self, after_ns: int) -> None:
        self._due_ns = monotonic_ns() + after_ns
        self._timer = self.loop.call_later(after_ns / 1e9, self._beat)

    def _beat(self) -> None:
        self._stamp(self._due_ns)
        slot, now = self.slot, self.beats[-1].at_ns
        self._lag_ns = max(0, now - self._due_ns)
        self._max_lag_ns = max(self._max_lag_ns, self._lag_ns)
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
        self._stamp(monotonic_ns())
        self._schedule(self.beat_ns)
        self.dog.look()

    def _on_gc(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] < 2:
            return
        if phase == "start":
            self._gc_began = monotonic_ns()
        elif self._gc_began:
            self.gc_ns += monotonic_ns() - self._gc_began
            self._gc_began = 0


class Watchdog(threading.Thread):
    """Samples the loop's thread when its beat is overdue, and judges when it is back."""

    def __init__(self, watch: LoopWatch) -> None:
        super().__init__(name="offload-watchdog", daemon=True)
        self._watch = watch
        self._bell = threading.Lock()  # held; who rings releases it, which never blocks
        self._is_stopping = False
        self._samples: list[Sample] = []
        self._next_ns = 0
        self._gap_ns = 0
        self._judged_ns = 0
        self._waited = (0, 0)  # the kernel's count of waits for a processor, before and at the last look
        self._late_ns = 0
        self._live_s = 1

    def look(self) -> None:
        """Look now: the pace has changed."""
        with contextlib.suppress(RuntimeError):  # it has been rung
            self._bell.release()

    def stop(self) -> None:
        """End, and return when it has."""
        self._is_stopping = True
        self.look()
        self.join()

    def run(self) -> None:
        """Watch until told to stop."""
        watch = self._watch
        self._bell.acquire(blocking=False)
        own, arm = threading.get_ident(), watch.limit_ns * 9 // 10
        planned = monotonic_ns()
        while not self._is_stopping:
            now = monotonic_ns()
            late, last = max(0, now - planned), watch.beats[-1]
            self._late_ns = max(self._late_ns, late)
            overdue_at = (
                max(last.at_ns + arm, self._next_ns) if not watch.slot.is_idle else last.at_ns + IDLE_BEAT_NS + arm
            )
            if now >= overdue_at and len(self._samples) < MOST_SAMPLES:
                planned = now  # first the sample, everything else after it
                self._sample(own, late, last.at_ns)
                continue
            if self._settle(last):
                planned = monotonic_ns()
                continue
            planned = max(overdue_at, now + 1 * MS)
            if self._bell.acquire(timeout=(planned - now) / 1e9):
                planned = monotonic_ns()

    def _sample(self, own: int, late: int, beat_ns: int) -> None:
        watch, slot = self._watch, self._watch.slot
        pinned = _PIN_GC and gc.isenabled()
        if pinned:
            gc.disable()
        try:
            stack, base, task, others = samples.take(watch.thread, watch.loop, own)
            step, started = slot.step, slot.started_ns
            now = monotonic_ns()
        finally:
            if pinned:
                gc.enable()
        if watch.beats[-1].at_ns != beat_ns:
            return  # the loop came back while this was read
        one = Sample(now, late, beat_ns, step, started != 0, stack, base, task, others)
        self._samples.append(one)
        one.syscall = watch.kernel.syscall()
        self._gap_ns = 8 * MS if len(self._samples) == 1 else min(self._gap_ns * 3 // 2, 1000 * MS)
        began = started or beat_ns
        told_at = began + self._live_s * 1000 * MS
        self._next_ns = min(now + self._gap_ns, told_at) if now < told_at else now + self._gap_ns
        if now - began >= self._live_s * 1000 * MS:
            self._live_s *= 2
            kind: Kind = "step" if started else "callback"
            seen = Evidence(now - began, now - began, 0, 0, 0, 0, 0)
            watch.sink(Stall(kind, slot.scope, seen.held_ns, now, list(self._samples), seen, is_over=False))

    def _settle(self, last: Beat) -> bool:
        """Judge what has ended; return whether there was anything to judge."""
        watch, slot = self._watch, self._watch.slot
        if last.at_ns == self._judged_ns:
            return False
        beats = [one for one in list(watch.beats) if one.at_ns >= self._judged_ns]
        waited_before, waited_now = self._waited[1], watch.kernel.waited_ns()
        self._waited = (waited_before, waited_now)
        slow = [one for one in list(slot.slow) if one.started_ns + one.held_ns <= last.at_ns]
        for one in slow:
            slot.slow.remove(one)
        taken, late_ns = self._samples, self._late_ns
        self._samples, self._next_ns, self._late_ns, self._live_s = [], 0, 0, 1
        self._judged_ns = last.at_ns
        for one in slow:
            self._report_step(one, beats, taken, waited_now - waited_before, late_ns)
        for before, after in pairwise(beats):
            lateness = after.at_ns - after.due_ns
            covered = sum(s.held_ns for s in slow if before.at_ns <= s.started_ns <= after.at_ns)
            if lateness >= watch.limit_ns and covered < lateness // 2:
                within = [s for s in taken if before.at_ns <= s.at_ns <= after.at_ns]
                evidence = Evidence(
                    lateness,
                    after.at_ns - before.at_ns,
                    after.cpu_ns - before.cpu_ns,
                    after.switches - before.switches,
                    after.gc_ns - before.gc_ns,
                    waited_now - waited_before,
                    late_ns,
                    after.busy_ns - before.busy_ns,
                    after.process_ns - before.process_ns - (after.cpu_ns - before.cpu_ns),
                )
                kind = judge(evidence, None, within)
                watch.sink(Stall(kind, None, lateness, after.at_ns, within, evidence))
        return True

    def _report_step(self, slow: Slow, beats: list[Beat], taken: list[Sample], waited_ns: int, late_ns: int) -> None:
        ended = slow.started_ns + slow.held_ns
        before = next((b for b in reversed(beats) if b.at_ns <= slow.started_ns), beats[0])
        after = next((b for b in beats if b.at_ns >= ended), beats[-1])
        within = [one for one in taken if one.step == slow.step]
        evidence = Evidence(
            slow.held_ns,
            after.at_ns - before.at_ns,
            after.cpu_ns - before.cpu_ns,
            after.switches - before.switches,
            after.gc_ns - before.gc_ns,
            waited_ns,
            late_ns,
            after.busy_ns - before.busy_ns,
            after.process_ns - before.process_ns - (after.cpu_ns - before.cpu_ns),
        )
        kind = judge(evidence, slow, within)
        self._watch.sink(Stall(kind, slow.scope, slow.held_ns, ended, within, evidence))


def _loops_own() -> set[CodeType]:
    """Return the code at which a stack is cut: what runs the loop, and our own driver, are never to blame."""
    base: Any = asyncio.base_events.BaseEventLoop
    handle: Any = asyncio.events.Handle
    own: tuple[Any, ...] = (clock.drive, clock.follow, handle._run, base._run_once, base.run_forever)  # noqa: SLF001
    own += (base.run_until_complete, asyncio.runners.Runner.run, asyncio.runners.run)
    return {one.__code__ for one in own}


samples.LOOP_CODES |= _loops_own()
