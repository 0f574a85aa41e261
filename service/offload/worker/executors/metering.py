"""The cost of one call in a child process: processor time, and the peak of its memory."""

import contextlib
import resource
import sys
from pathlib import Path

_RESET_PEAK = b"5"  # proc(5), clear_refs: the peak of resident memory begins anew
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


class Meter:
    """Measures from its construction on, including processes that the call started and waited for.

    Where the peak cannot be reset (no /proc, or not writable), it is that of the whole life of the process: never too
    low, and too high where an earlier job needed more.
    """

    def __init__(self) -> None:
        self._cpu_s = _cpu_s()
        self._has_begun_anew = False
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_bytes(_RESET_PEAK)
            self._has_begun_anew = True

    def cost(self) -> tuple[int, int]:
        """Return processor time in ns, and the peak of resident memory in bytes."""
        peak = _peak() if self._has_begun_anew else None
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
        return round((_cpu_s() - self._cpu_s) * 1e9), peak


def _cpu_s() -> float:
    usages = [resource.getrusage(processes) for processes in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
