"""What held the loop, decided from what was measured; only `step` and `callback` blame anyone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.loopwatch.clock import Slow
from service.loopwatch.samples import Sample

Kind = Literal["step", "callback", "saturated", "gc", "starved", "gil-other-thread", "startup"]
_SWITCH_NS = 5_000_000  # a thread that waits for the GIL wakes this often to ask for it (sys.getswitchinterval)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured between the beats around it, in ns; `switches` are those the loop's thread made by itself."""

    held_ns: int
    gap_ns: int
    cpu_ns: int
    switches: int
    gc_ns: int
    waited_ns: int
    watchdog_late_ns: int
    busy_ns: int = 0
    others_cpu_ns: int = 0


def judge(seen: Evidence, step: Slow | None, samples: Sequence[Sample]) -> Kind:
    """Return what kind of stall this is; what was not the doing of a step is looked for first."""
    if (kind := _nobodys(seen)) is not None:
        return kind
    if step is not None:
        return "step"
    is_one = len({(one.base, one.task, one.step) for one in samples}) == 1
    if seen.busy_ns > seen.gap_ns // 2 or not is_one:
        return "saturated"
    return "callback" if samples[0].stack else "starved"  # without a stack the loop was waiting: nothing of ours ran


def _nobodys(seen: Evidence) -> Kind | None:
    half = seen.held_ns // 2
    if seen.gc_ns > half:
        return "gc"
    if seen.waited_ns > half:
        return "starved"
    waits_for_gil = seen.switches * _SWITCH_NS > seen.gap_ns // 2 and seen.others_cpu_ns > half
    if waits_for_gil and seen.watchdog_late_ns > half and seen.cpu_ns < seen.gap_ns * 3 // 10:
        return "gil-other-thread"
    return None
