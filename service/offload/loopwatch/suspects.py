"""Threads that may have held the GIL, with the jobs they run.

The worker's threads declare their jobs (`AtWork`). A thread is suspected by the CPU time it used while the loop was
kept from the GIL; a thread without a job, because it was in the user's code when the GIL became free.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from offload.loopwatch.judge import HOG_SHARE
from offload.loopwatch.samples import Place, Sample

_MAX_SUSPECTS = 10
_MAX_ENDED = 32
_LEAST_NS = 10_000_000


@dataclass(frozen=True, slots=True)
class Suspect:
    """A thread that may have held the GIL; `stack` (innermost first) is where it was, where that is known."""

    thread: int
    name: str
    job_id: str | None
    function: str | None
    stack: tuple[Place, ...]
    cpu_ns: int


class CpuUse(NamedTuple):
    """CPU time of a thread for one job, up to `at_ns`, since it was measured before."""

    at_ns: int
    thread: int
    name: str
    job_id: str
    function: str
    cpu_ns: int


class AtWork:
    """A context manager: while it is entered, its thread works on this job."""

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
        _ended.append(self._use(time.thread_time_ns()))

    def measure(self) -> CpuUse:
        """Return the thread's CPU time since the last measurement; 0 if the thread or its clock does not exist."""
        try:
            now = time.clock_gettime_ns(self._clock) if self._clock is not None else self._cpu_ns
        except OSError:
            now = self._cpu_ns
        return self._use(now)

    def _use(self, cpu_ns: int) -> CpuUse:
        used, self._cpu_ns = cpu_ns - self._cpu_ns, cpu_ns
        return CpuUse(time.monotonic_ns(), self._thread, self._name, self._job_id, self._function, used)


_at_work: dict[int, AtWork] = {}
_ended: deque[CpuUse] = deque(maxlen=_MAX_ENDED)  # of threads that left their job since the last collection


def collect_uses() -> list[CpuUse]:
    """Return the CPU time that threads used for their jobs since the last collection, from 10 ms on."""
    uses = [at_work.measure() for at_work in list(_at_work.values())]
    uses += [_ended.popleft() for _ in range(len(_ended))]
    return [use for use in uses if use.cpu_ns >= _LEAST_NS]


def suspects(began_ns: int, held_ns: int, samples: Sequence[Sample], uses: Iterable[CpuUse]) -> list[Suspect]:
    """Return the threads that may have held the GIL during a stall, the one that computed most first.

    Threads without a job come last, with their stacks in the first sample.
    """
    stacks = dict(samples[0].others) if samples else {}
    by_job: dict[tuple[int, str], Suspect] = {}
    for use in uses:
        if use.at_ns > began_ns:
            before = by_job.get(key := (use.thread, use.job_id))
            cpu_ns = use.cpu_ns + (before.cpu_ns if before is not None else 0)
            stack = stacks.get(use.thread, ())
            by_job[key] = Suspect(use.thread, use.name, use.job_id, use.function, stack, cpu_ns)
    hogs = [suspect for suspect in by_job.values() if suspect.cpu_ns > held_ns * HOG_SHARE]
    hogs.sort(key=lambda suspect: -suspect.cpu_ns)
    known = {suspect.thread for suspect in hogs}
    others = [Suspect(thread, "", None, None, stack, 0) for thread, stack in stacks.items() if thread not in known]
    return (hogs + others)[:_MAX_SUSPECTS]


def clock_of(thread: int) -> int | None:
    """Return the CPU clock of a thread that lives; None if the system has none (macOS)."""
    try:
        return time.pthread_getcpuclockid(thread)
    except (AttributeError, OSError):
        return None
