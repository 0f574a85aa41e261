"""The watchdog: samples the loop's thread while its beat is overdue, and has stalls judged once they are over.

Between waking up and reading the frames nothing may release the GIL: if C code has held it, the loop's thread hands it
over as the call returns, and its frame shows the call only until it gets the GIL back.
"""

import contextlib
import gc
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic_ns

from offload.documents.stalls import StallKind
from offload.loopwatch import samples, suspects
from offload.loopwatch.judge import Evidence
from offload.loopwatch.loop_state import IDLE_BEAT_NS, MS, Beat, LoopState, switches
from offload.loopwatch.samples import Sample
from offload.loopwatch.verdicts import Late, Stall, Waited, Window, longest_lateness, stalls

MOST_SAMPLES = 24
_FIRST_GAP_NS, _LONGEST_GAP_NS = 8 * MS, 1000 * MS
_LATE_NS = 10 * MS
_PIN_GC = sys.version_info < (3, 11, 9)  # a collection inside sys._current_frames() can deadlock there (gh-106883)


class Watchdog(threading.Thread):
    """One for each watch; it waits for the time and the bell alone. `sink` gets each stall, and must not block."""

    def __init__(self, state: LoopState, sink: Callable[[Stall], None]) -> None:
        super().__init__(name="offload-watchdog", daemon=True)
        self._state = state
        self._sink = sink
        self._bell = threading.Lock()  # held; ringing releases it, which never blocks
        self._rung_ns = 0
        self._is_stopping = False
        self._samples: list[Sample] = []
        self._gap_ns = 0
        self._next_ns = 0
        self._live_s = 1
        self._judged_ns = 0
        self._waits: deque[Waited] = deque(maxlen=16)
        self._lates: deque[Late] = deque(maxlen=16)
        self._cpu_uses: deque[suspects.CpuUse] = deque(maxlen=64)

    def sample_of(self, step: int) -> Sample | None:
        """Return a sample of a step that has just ended, if one was taken; called on the loop's thread."""
        return next((sample for sample in list(self._samples) if sample.step == step), None)

    def check_now(self) -> None:
        """Check the loop now: the pace of its beat has changed, or a stall is over."""
        self._rung_ns = monotonic_ns()
        with contextlib.suppress(RuntimeError):  # it was rung already
            self._bell.release()

    def stop(self) -> None:
        """End, and return when the thread has ended."""
        self._is_stopping = True
        self.check_now()
        self.join()

    def run(self) -> None:
        """Watch until `stop` is called."""
        state = self._state
        self._bell.acquire(blocking=False)
        own, self._judged_ns = threading.get_ident(), state.beats[0].at_ns
        self._waits.append(Waited(monotonic_ns(), state.sched_stat.waited_ns()))
        planned, asked = monotonic_ns(), switches()
        while not self._is_stopping:
            now, last = monotonic_ns(), state.beats[-1]
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
        self._settle(state.beats[-1])

    def _due(self, last: Beat) -> int:
        """Return when the loop is overdue: a tenth before the limit, so that every reported stall was sampled."""
        state = self._state
        return last.at_ns + state.limit_ns * 9 // 10 + (IDLE_BEAT_NS if state.slot.is_idle else 0)

    def _sample(self, own: int, last: Beat) -> None:
        state, slot = self._state, self._state.slot
        pinned = _PIN_GC and gc.isenabled()
        if pinned:
            gc.disable()
        try:
            stack, base, task, others = samples.read_stacks(state.thread, state.loop, own)
            step, started, scope = slot.step, slot.started_ns, slot.scope
            now = monotonic_ns()
        finally:
            if pinned:
                gc.enable()
        if state.beats[-1] is not last:
            return  # the loop came back while this was read
        if len(self._samples) == MOST_SAMPLES:
            self._samples.pop()
        self._samples.append(Sample(now, last.at_ns, step, scope, stack, base, task, others))
        self._gap_ns = _FIRST_GAP_NS if len(self._samples) == 1 else min(self._gap_ns * 3 // 2, _LONGEST_GAP_NS)
        self._next_ns = now + self._gap_ns
        self._report_ongoing(now, last, started or last.at_ns)

    def _report_ongoing(self, now: int, last: Beat, began: int) -> None:
        """Report a stall that lasts after 1, 2, 4, 8 … s; plan the next sample for the time of the next report."""
        state, latest = self._state, self._samples[-1]
        if now - began >= self._live_s * 1000 * MS:
            while now - began >= self._live_s * 1000 * MS:
                self._live_s *= 2
            kind: StallKind = "step" if latest.scope else "startup" if last.at_ns < state.startup_ns else "callback"
            cpu_ns = state.cpu_ns() - last.cpu_ns if state.cpu_ns() else 0
            late = longest_lateness(self._lates, began, now)
            evidence = Evidence(now - began, now - last.at_ns, state.limit_ns, cpu_ns, watchdog_late_ns=late.late_ns)
            within = [sample for sample in self._samples if sample.step == latest.step]
            self._sink(Stall(kind, latest.scope, now - began, now, within, evidence, is_over=False))
        if now < (next_report := began + self._live_s * 1000 * MS):
            self._next_ns = min(self._next_ns, next_report)

    def _settle(self, last: Beat) -> bool:
        """Judge the stalls that are over; return whether there was a new beat to judge by.

        Samples taken after the latest beat belong to a stall that goes on, and stay.
        """
        state, slot = self._state, self._state.slot
        if last.at_ns == self._judged_ns:
            return False
        self._waits.append(Waited(monotonic_ns(), state.sched_stat.waited_ns()))
        self._cpu_uses += suspects.collect_uses()
        slow = [step for step in list(slot.slow) if step.started_ns + step.held_ns <= last.at_ns]
        for step in slow:
            slot.slow.remove(step)
        window = Window(
            beats=[beat for beat in list(state.beats) if self._judged_ns <= beat.at_ns <= last.at_ns],
            slow=slow,
            samples=self._samples,
            lates=list(self._lates),
            waits=list(self._waits),
            limit_ns=state.limit_ns,
            startup_ns=state.startup_ns,
        )
        self._judged_ns = last.at_ns
        self._samples = [sample for sample in self._samples if sample.beat_ns >= last.at_ns]
        self._live_s = 1
        for stall in stalls(window):
            if stall.kind == "gil-other-thread":
                began_ns = stall.ended_ns - stall.held_ns
                stall.suspects = suspects.suspects(began_ns, stall.held_ns, stall.samples, self._cpu_uses)
            self._sink(stall)
        return True
