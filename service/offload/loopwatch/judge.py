"""Decides the kind of a stall from what was measured; only the kinds `step` and `callback` blame a job or a line."""

from collections.abc import Sequence
from dataclasses import dataclass

from offload.documents.stalls import StallKind
from offload.loopwatch.samples import Sample
from offload.loopwatch.step_clock import SlowStep

HOG_SHARE = 0.1  # of a stall, in processor time, makes another thread a hog; it may have to wait for a processor itself
_SWITCH_NS = 5_000_000  # a thread that waits for the GIL wakes this often to ask for it (sys.getswitchinterval)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Measurements around a stall, in ns; stalls of `limit_ns` or more are reported.

    From the beat before the stall to the beat after it: `gap_ns`, `cpu_ns` and voluntary `switches` of the loop's
    thread, `gc_ns`, `busy_ns` (with steps), `others_cpu_ns` (of all other threads), `waited_ns` for a processor. Of the
    watchdog during the stall: how late it was, and how often it asked for the GIL meanwhile (negative: unknown).
    """

    held_ns: int
    gap_ns: int
    limit_ns: int
    cpu_ns: int = 0
    switches: int = 0
    gc_ns: int = 0
    busy_ns: int = 0
    others_cpu_ns: int = 0
    waited_ns: int = 0
    watchdog_late_ns: int = 0
    watchdog_switches: int = -1


def judge(
    evidence: Evidence, step: SlowStep | None, samples: Sequence[Sample], *, is_startup: bool = False
) -> StallKind:
    """Return the kind of a stall; causes other than steps are checked first.

    A step of a job or a request is exact even while the process starts, so it stays a `step`.
    """
    if (kind := _outside_cause(evidence)) is not None:
        return kind
    if step is not None:
        return "step"
    if is_startup:
        return "startup"
    is_single_step = len({(sample.base, sample.task, sample.step) for sample in samples}) == 1
    if evidence.busy_ns > evidence.gap_ns // 2 or not is_single_step:
        return "saturated"
    return "callback" if samples[0].stack else "starved"  # without a stack the loop was waiting: nothing of ours ran


def _outside_cause(evidence: Evidence) -> StallKind | None:
    least_ns = evidence.limit_ns * 9 // 10  # without the outside cause there would have been no stall
    if evidence.gc_ns > evidence.held_ns // 2 or evidence.held_ns - evidence.gc_ns < least_ns:
        return "gc"
    if evidence.held_ns - evidence.waited_ns < least_ns or _was_stopped(evidence):
        return "starved"
    # On a busy machine a thread that asks for the GIL also waits for a processor, so it asks less often.
    waits_for_gil = (
        evidence.switches * _SWITCH_NS > evidence.gap_ns // 4 and evidence.watchdog_late_ns > evidence.held_ns // 2
    )
    if (
        waits_for_gil
        and evidence.cpu_ns < evidence.gap_ns * 3 // 10
        and evidence.others_cpu_ns > evidence.held_ns * HOG_SHARE
    ):
        return "gil-other-thread"
    return None


def _was_stopped(evidence: Evidence) -> bool:
    """Return True if the whole process was stopped (SIGSTOP, a debugger): the watchdog too, not waiting for the GIL."""
    if evidence.watchdog_switches < 0 or evidence.cpu_ns > evidence.held_ns // 2:
        return False
    late_ns = evidence.watchdog_late_ns
    return late_ns > evidence.held_ns // 2 and evidence.watchdog_switches * _SWITCH_NS < late_ns // 4
