"""What one call costs a child process: the processor's time, and the most memory it had at once."""

import contextlib
import resource
import sys
from pathlib import Path
from typing import Any, NamedTuple

_RESET_PEAK = b"5"  # proc(5), clear_refs: the peak of resident memory begins anew
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


class Metered(NamedTuple):
    """What a call returned, and what it cost; travels from the child to its worker."""

    value: Any
    cpu_ns: int
    peak_rss: int


class Meter:
    """Measures from when it is made, other processes included that the call ran and waited for.

    Where the peak cannot be begun anew (no /proc, or not writable), it is that of the whole life of the process: never
    too low, and too high where an earlier job needed more.
    """

    def __init__(self) -> None:
        self._cpu_s = _cpu_s()
        self._has_begun_anew = False
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_bytes(_RESET_PEAK)
            self._has_begun_anew = True

    def metered(self, value: Any) -> Metered:
        """Return a value with what it cost."""
        peak = _peak() if self._has_begun_anew else None
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
        return Metered(value, round((_cpu_s() - self._cpu_s) * 1e9), peak)


def _cpu_s() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def _peak() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
