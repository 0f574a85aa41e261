"""Which threads work on which job, and which of them may have held the GIL.

The worker's threads say what they work on. A thread is suspected by the processor time it used while the loop was kept
from the GIL, or, where it is nobody's that we know, because it was in the user's code when the GIL came free.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from offload.loopwatch.judge import HOG_SHARE
from offload.loopwatch.samples import Place, Sample

_MOST = 10
_MOST_LEFT = 32
_LEAST_NS = 10_000_000


@dataclass(frozen=True, slots=True)
class Suspect:
    """A thread that may have held the GIL; `stack` (innermost first) is where it was, if that was seen."""

    thread: int
    name: str
    job_id: str | None
    function: str | None
    stack: tuple[Place, ...]
    cpu_ns: int


class Use(NamedTuple):
    """What a thread that works on a job used of the processor up to a time, since it was looked at before."""

    at_ns: int
    thread: int
    name: str
    job_id: str
    function: str
    cpu_ns: int


class AtWork:
    """Says, while it is entered, that this thread works on a job."""

    __slots__ = ("_before", "_clock", "_cpu_ns", "_function", "_job_id", "_name", "_thread")

    def __init__(self, job_id: str, function: str) -> None:
        self._job_id = job_id
        self._function = function

    def __enter__(self) -> None:
        self._thread = threading.get_ident()
        self._name = threading.current_thread().name
        self._clock = clock_of(self._thread)
        self._cpu_ns = time.thread_time_ns()
        self._before = _at_work.get(self._thread)
        _at_work[self._thread] = self

    def __exit__(self, *raised: object) -> None:
        if self._before is not None:
            _at_work[self._thread] = self._before
        else:
            del _at_work[self._thread]
        _left.append(self._use(time.thread_time_ns()))

    def look(self) -> Use:
        """Return what the thread has used since the last look; of one that is gone, or where none is told, nothing."""
        try:
            now = time.clock_gettime_ns(self._clock) if self._clock is not None else self._cpu_ns
        except OSError:
            now = self._cpu_ns
        return self._use(now)

    def _use(self, cpu_ns: int) -> Use:
        used, self._cpu_ns = cpu_ns - self._cpu_ns, cpu_ns
        return Use(time.monotonic_ns(), self._thread, self._name, self._job_id, self._function, used)


_at_work: dict[int, AtWork] = {}
_left: deque[Use] = deque(maxlen=_MOST_LEFT)  # of those that have ended since the last look


def look() -> list[Use]:
    """Return what the threads that work on jobs have used since the last look, where it is worth a suspicion."""
    found = [one.look() for one in list(_at_work.values())]
    found += [_left.popleft() for _ in range(len(_left))]
    return [one for one in found if one.cpu_ns >= _LEAST_NS]


def suspects(began_ns: int, held_ns: int, samples: Sequence[Sample], used: Iterable[Use]) -> list[Suspect]:
    """Return whom to suspect of having held the GIL that long, the one that computed most first.

    Threads that work on no job of ours come last, by what the first sample saw.
    """
    seen = dict(samples[0].others) if samples else {}
    found: dict[tuple[int, str], Suspect] = {}
    for one in used:
        if one.at_ns > began_ns:
            before = found.get(key := (one.thread, one.job_id))
            cpu_ns = one.cpu_ns + (before.cpu_ns if before is not None else 0)
            stack = seen.get(one.thread, ())
            found[key] = Suspect(one.thread, one.name, one.job_id, one.function, stack, cpu_ns)
    hogs = [one for one in found.values() if one.cpu_ns > held_ns * HOG_SHARE]
    hogs.sort(key=lambda one: -one.cpu_ns)
    known = {one.thread for one in hogs}
    return (hogs + [Suspect(it, "", None, None, stack, 0) for it, stack in seen.items() if it not in known])[:_MOST]


def clock_of(thread: int) -> int | None:
    """Return the clock of the processor time of a thread that lives; None where the system has none (macOS)."""
    try:
        return time.pthread_getcpuclockid(thread)
    except (AttributeError, OSError):
        return None
