"""The watchdog: samples the loop's thread when its beat is overdue, and has what ended judged when the loop is back.

Between waking up and reading the frames nothing may release the GIL: where C code has held it, the loop's thread hands
it over as the call returns, and its frame shows the call only until it gets the GIL back.
"""

import contextlib
import gc
import sys
import threading
from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING

from offload.documents.stalls import StallKind
from offload.loopwatch import samples, suspects
from offload.loopwatch.beat import Beat, switches
from offload.loopwatch.judge import Evidence
from offload.loopwatch.samples import Sample
from offload.loopwatch.stall import Stall
from offload.loopwatch.verdicts import Late, Seen, Waited, stalls, worst

if TYPE_CHECKING:
    from offload.loopwatch.watch import LoopWatch

MS = 1_000_000
MOST_SAMPLES = 24
IDLE_BEAT_NS = 500 * MS
_FIRST_GAP_NS, _LONGEST_GAP_NS = 8 * MS, 1000 * MS
_LATE_NS = 10 * MS
_PIN_GC = sys.version_info < (3, 11, 9)  # a collection inside sys._current_frames() can deadlock there (gh-106883)


class Watchdog(threading.Thread):
    """One for each watch; it never waits for anything but the time and the bell."""

    def __init__(self, watch: "LoopWatch") -> None:
        super().__init__(name="offload-watchdog", daemon=True)
        self._watch = watch
        self._bell = threading.Lock()  # held; who rings releases it, which never blocks
        self._rung_ns = 0
        self._is_stopping = False
        self._samples: list[Sample] = []
        self._gap_ns = 0
        self._next_ns = 0
        self._live_s = 1
        self._judged_ns = 0
        self._waits: deque[Waited] = deque(maxlen=16)
        self._lates: deque[Late] = deque(maxlen=16)
        self._used: deque[suspects.Use] = deque(maxlen=64)

    def sample_of(self, step: int) -> Sample | None:
        """Return a sample of a step that has just ended, if one was taken; called on the loop's thread."""
        return next((one for one in list(self._samples) if one.step == step), None)

    def look(self) -> None:
        """Look now: the pace has changed, or something has ended."""
        self._rung_ns = monotonic_ns()
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
        own, self._judged_ns = threading.get_ident(), watch.beats[0].at_ns
        self._waits.append(Waited(monotonic_ns(), watch.kernel.waited_ns()))
        planned, asked = monotonic_ns(), switches()
        while not self._is_stopping:
            now, last = monotonic_ns(), watch.beats[-1]
            overdue = max(self._due(last), self._next_ns if self._samples else 0)
            if now >= overdue:  # first the sample, everything else after it
                self._sample(own, last)
            if now - planned > _LATE_NS:
                self._lates.append(Late(now, now - planned, switches() - asked))
            if now < overdue and not self._settle(last):
                planned, asked = overdue, switches()
                if self._bell.acquire(timeout=(overdue - now) / 1e9):
                    planned = min(planned, self._rung_ns)
            else:
                planned, asked = now, switches()
        self._settle(watch.beats[-1])

    def _due(self, last: Beat) -> int:
        """Return when the loop is overdue, so much before the limit that all that is reported has been seen."""
        watch = self._watch
        return last.at_ns + watch.limit_ns * 9 // 10 + (IDLE_BEAT_NS if watch.slot.is_idle else 0)

    def _sample(self, own: int, last: Beat) -> None:
        watch, slot = self._watch, self._watch.slot
        pinned = _PIN_GC and gc.isenabled()
        if pinned:
            gc.disable()
        try:
            stack, base, task, others = samples.take(watch.thread, watch.loop, own)
            step, started, scope = slot.step, slot.started_ns, slot.scope
            now = monotonic_ns()
        finally:
            if pinned:
                gc.enable()
        if watch.beats[-1] is not last:
            return  # the loop came back while this was read
        if len(self._samples) == MOST_SAMPLES:
            self._samples.pop()
        self._samples.append(Sample(now, last.at_ns, step, scope, stack, base, task, others))
        self._gap_ns = _FIRST_GAP_NS if len(self._samples) == 1 else min(self._gap_ns * 3 // 2, _LONGEST_GAP_NS)
        self._next_ns = now + self._gap_ns
        self._tell(now, last, started or last.at_ns)

    def _tell(self, now: int, last: Beat, began: int) -> None:
        """Say that it still lasts, after 1, 2, 4, 8 … s; plan the next sample for when that is due."""
        watch, latest = self._watch, self._samples[-1]
        if now - began >= self._live_s * 1000 * MS:
            while now - began >= self._live_s * 1000 * MS:
                self._live_s *= 2
            kind: StallKind = "step" if latest.scope else "startup" if last.at_ns < watch.startup_ns else "callback"
            cpu_ns = watch.cpu_ns() - last.cpu_ns if watch.cpu_ns() else 0
            late = worst(self._lates, began, now)
            seen = Evidence(now - began, now - last.at_ns, watch.limit_ns, cpu_ns, watchdog_late_ns=late.late_ns)
            within = [one for one in self._samples if one.step == latest.step]
            watch.sink(Stall(kind, latest.scope, now - began, now, within, seen, is_over=False))
        if now < (told_at := began + self._live_s * 1000 * MS):
            self._next_ns = min(self._next_ns, told_at)

    def _settle(self, last: Beat) -> bool:
        """Judge what has ended; return whether there was anything to judge.

        What was seen after the last beat is of something that still lasts, and stays.
        """
        watch, slot = self._watch, self._watch.slot
        if last.at_ns == self._judged_ns:
            return False
        self._waits.append(Waited(monotonic_ns(), watch.kernel.waited_ns()))
        self._used += suspects.look()
        slow = [one for one in list(slot.slow) if one.started_ns + one.held_ns <= last.at_ns]
        for one in slow:
            slot.slow.remove(one)
        seen = Seen(
            beats=[one for one in list(watch.beats) if self._judged_ns <= one.at_ns <= last.at_ns],
            slow=slow,
            samples=self._samples,
            lates=list(self._lates),
            waits=list(self._waits),
            limit_ns=watch.limit_ns,
            startup_ns=watch.startup_ns,
        )
        self._judged_ns = last.at_ns
        self._samples = [one for one in self._samples if one.beat_ns >= last.at_ns]
        self._live_s = 1
        for stall in stalls(seen):
            if stall.kind == "gil-other-thread":
                began_ns = stall.ended_ns - stall.held_ns
                stall.suspects = suspects.suspects(began_ns, stall.held_ns, stall.samples, self._used)
            watch.sink(stall)
        return True
