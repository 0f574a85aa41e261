"""What held the loop, decided from what was measured; only `step` and `callback` blame anyone."""

from collections.abc import Sequence
from dataclasses import dataclass

from offload.documents.stalls import StallKind
from offload.loopwatch.samples import Sample
from offload.loopwatch.step_clock import Slow

HOG_SHARE = 0.1  # of a stall, in processor time, makes another thread a hog; it may have to wait for a processor itself
_SWITCH_NS = 5_000_000  # a thread that waits for the GIL wakes this often to ask for it (sys.getswitchinterval)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured around a stall, in ns; `limit_ns` is what is reported.

    From the beat before it to the one after: `gap_ns`, `cpu_ns` and `switches` (that it made by itself) of the loop's
    thread, `gc_ns`, `busy_ns` (with steps), `others_cpu_ns` (of all other threads), `waited_ns` for a processor. Of the
    watchdog while the stall lasted: by how much it was late, and how often it asked for the GIL meanwhile (negative:
    not known).
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


def judge(seen: Evidence, step: Slow | None, samples: Sequence[Sample], *, is_startup: bool = False) -> StallKind:
    """Return what kind of stall this is; what was not the doing of a step is looked for first.

    A step of a job or a request is exact also while the process starts, so it keeps its name.
    """
    if (kind := _nobodys(seen)) is not None:
        return kind
    if step is not None:
        return "step"
    if is_startup:
        return "startup"
    is_one = len({(one.base, one.task, one.step) for one in samples}) == 1
    if seen.busy_ns > seen.gap_ns // 2 or not is_one:
        return "saturated"
    return "callback" if samples[0].stack else "starved"  # without a stack the loop was waiting: nothing of ours ran


def _nobodys(seen: Evidence) -> StallKind | None:
    least_ns = seen.limit_ns * 9 // 10  # without what is nobody's there would have been no stall
    if seen.gc_ns > seen.held_ns // 2 or seen.held_ns - seen.gc_ns < least_ns:
        return "gc"
    if seen.held_ns - seen.waited_ns < least_ns or _was_stopped(seen):
        return "starved"
    # On a busy machine who asks for the GIL waits for a processor as well, so it asks less often than it would.
    waits_for_gil = seen.switches * _SWITCH_NS > seen.gap_ns // 4 and seen.watchdog_late_ns > seen.held_ns // 2
    if waits_for_gil and seen.cpu_ns < seen.gap_ns * 3 // 10 and seen.others_cpu_ns > seen.held_ns * HOG_SHARE:
        return "gil-other-thread"
    return None


def _was_stopped(seen: Evidence) -> bool:
    """Whether the whole process stood still (SIGSTOP, a debugger): the watchdog too, without waiting for the GIL."""
    if seen.watchdog_switches < 0 or seen.cpu_ns > seen.held_ns // 2:
        return False
    late_ns = seen.watchdog_late_ns
    return late_ns > seen.held_ns // 2 and seen.watchdog_switches * _SWITCH_NS < late_ns // 4
