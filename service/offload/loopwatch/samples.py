"""Stack samples of the process's threads, and the kernel's count of waits of the loop's thread.

Frames keep their locals alive, and reading them must not release the GIL: a sample has code objects and positions
only. Source text is read much later, by the reporter.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from itertools import islice
from types import CodeType, FrameType

from offload.loopwatch.step_clock import Scope

_DEPTH = 60
_OTHERS, _OTHERS_DEPTH = 40, 15

Place = tuple[CodeType, int]


@dataclass(slots=True)
class Sample:
    """One sample; `stack` is innermost first, down to the code that runs the loop."""

    at_ns: int
    beat_ns: int
    step: int
    scope: Scope | None
    stack: tuple[Place, ...]
    base: int  # identity of the outermost frame that is not the loop's own: tells one callback from the next
    task: str
    others: tuple[tuple[int, tuple[Place, ...]], ...] = ()


def read_stacks(
    thread: int, loop: asyncio.AbstractEventLoop, own: int
) -> tuple[tuple[Place, ...], int, str, tuple[tuple[int, tuple[Place, ...]], ...]]:
    """Return a thread's stack, its base and task, and short stacks of the others; nothing here releases the GIL."""
    frames = sys._current_frames()  # noqa: SLF001 - no public function reads another thread's stack
    stack: list[Place] = []
    base = 0
    frame: FrameType | None = frames.get(thread)
    while frame is not None and len(stack) < _DEPTH:
        code = frame.f_code
        if code in LOOP_CODES:
            break
        stack.append((code, frame.f_lasti))
        base = id(frame)
        frame = frame.f_back
    rest = [(ident, _places(f)) for ident, f in islice(frames.items(), _OTHERS) if ident not in (thread, own)]
    del frames, frame
    task = asyncio.current_task(loop)
    return tuple(stack), base, task.get_name() if task is not None else "", tuple(rest)


def _places(frame: FrameType | None) -> tuple[Place, ...]:
    places: list[Place] = []
    while frame is not None and len(places) < _OTHERS_DEPTH:
        places.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return tuple(places)


LOOP_CODES: set[CodeType] = set()


class SchedStat:
    """The kernel's count of how long one thread has waited for a processor; always 0 if there is no /proc."""

    def __init__(self, native_id: int) -> None:
        self._fd: int | None = None
        try:
            self._fd = os.open(f"/proc/self/task/{native_id}/schedstat", os.O_RDONLY)
        except OSError:
            return

    def waited_ns(self) -> int:
        """Return the total wait, by one read of a file that stays open."""
        if self._fd is None:
            return 0
        try:
            fields = os.pread(self._fd, 200, 0).split()
        except OSError:
            return 0
        return int(fields[1]) if len(fields) > 1 else 0

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
