"""Which threads work on which job, and which of them may have held the GIL.

The worker's threads say what they work on. A thread is suspected by the processor time it used while the loop was kept
from the GIL, or, where it is nobody's that we know, because it was in the user's code when the GIL came free.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from service.loopwatch.samples import Place, Sample

_MOST = 10
_MOST_LEFT = 32


@dataclass(frozen=True, slots=True)
class Suspect:
    """A thread that may have held the GIL; `stack` (innermost first) is where it was, if that was seen."""

    thread: int
    name: str
    job_id: str | None
    function: str | None
    stack: tuple[Place, ...]
    cpu_ns: int


class AtWork:
    """Says, while it is entered, that this thread works on a job."""

    __slots__ = ("_before", "_clock", "_cpu_ns", "function", "job_id", "name", "thread", "used_ns")

    def __init__(self, job_id: str, function: str) -> None:
        self.job_id = job_id
        self.function = function
        self.used_ns = 0

    def __enter__(self) -> None:
        self.thread = threading.get_ident()
        self.name = threading.current_thread().name
        self._clock = clock_of(self.thread)
        self._cpu_ns = time.thread_time_ns()
        self._before = _at_work.get(self.thread)
        _at_work[self.thread] = self

    def __exit__(self, *raised: object) -> None:
        if self._before is not None:
            _at_work[self.thread] = self._before
        else:
            del _at_work[self.thread]
        self.used_ns = time.thread_time_ns() - self._cpu_ns
        _left.append(self)

    def look(self) -> None:
        """Note what the thread has used since the last look; of one that is gone, or a system that does not tell, 0."""
        try:
            now = time.clock_gettime_ns(self._clock) if self._clock is not None else self._cpu_ns
        except OSError:
            now = self._cpu_ns
        self._cpu_ns, self.used_ns = now, now - self._cpu_ns


_at_work: dict[int, AtWork] = {}
_left: deque[AtWork] = deque(maxlen=_MOST_LEFT)  # those that have ended since the last look


def look() -> list[AtWork]:
    """Return the threads that have worked on a job since the last look, each with what it used."""
    working = list(_at_work.values())
    for one in working:
        one.look()
    return working + [_left.popleft() for _ in range(len(_left))]


def suspects(held_ns: int, samples: Sequence[Sample], used: Sequence[AtWork]) -> list[Suspect]:
    """Return whom to suspect of having held the GIL that long, the one that computed most first.

    Threads that work on no job of ours come last, by what the first sample saw.
    """
    seen = dict(samples[0].others) if samples else {}
    found = [
        Suspect(one.thread, one.name, one.job_id, one.function, seen.get(one.thread, ()), one.used_ns)
        for one in used
        if one.used_ns > held_ns // 2
    ]
    found.sort(key=lambda one: -one.cpu_ns)
    known = {one.thread for one in used}
    found += [Suspect(ident, "", None, None, stack, 0) for ident, stack in seen.items() if ident not in known]
    return found[:_MOST]


def clock_of(thread: int) -> int | None:
    """Return the clock of the processor time of a thread that lives; None where the system has none (macOS)."""
    try:
        return time.pthread_getcpuclockid(thread)
    except (AttributeError, OSError):
        return None
