"""What the watchdog sees of the loop's thread: its stack, and what the kernel says it is doing.

Frames keep their locals alive and reading them must not release the GIL, so a sample is code objects and positions
only; source text is read much later, by the reporter.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from types import CodeType, FrameType

_DEPTH = 60

Place = tuple[CodeType, int]


@dataclass(slots=True)
class Sample:
    """One look; `stack` is innermost first, down to what runs the loop."""

    at_ns: int
    late_ns: int
    beat_ns: int
    step: int
    in_step: bool
    stack: tuple[Place, ...]
    base: int  # identity of the outermost frame that is not the loop's own: tells one callback from the next
    task: str
    others: tuple[tuple[int, Place], ...] = ()
    syscall: str = ""


def take(
    thread: int, loop: asyncio.AbstractEventLoop, own: int
) -> tuple[tuple[Place, ...], int, str, tuple[tuple[int, Place], ...]]:
    """Return the stack of a thread, and where all others are; nothing in here releases the GIL."""
    frames = sys._current_frames()  # noqa: SLF001 - the one way to another thread's stack
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
    others = tuple((ident, (f.f_code, f.f_lasti)) for ident, f in frames.items() if ident not in (thread, own))
    del frames, frame
    task = asyncio.current_task(loop)
    return tuple(stack), base, task.get_name() if task is not None else "", others


LOOP_CODES: set[CodeType] = set()


class Kernel:
    """The kernel's word on one thread; files stay open, each look is one read. Silent where there is no /proc."""

    def __init__(self, native_id: int) -> None:
        self._fds: dict[str, int] = {}
        for name in ("syscall", "schedstat"):
            try:
                self._fds[name] = os.open(f"/proc/self/task/{native_id}/{name}", os.O_RDONLY)
            except OSError:
                continue

    def _read(self, name: str) -> bytes:
        fd = self._fds.get(name)
        if fd is None:
            return b""
        try:
            return os.pread(fd, 200, 0)
        except OSError:
            return b""

    def waited_ns(self) -> int:
        """Return how long the thread has waited for a processor in all."""
        fields = self._read("schedstat").split()
        return int(fields[1]) if len(fields) > 1 else 0

    def syscall(self) -> str:
        """Return the number of the system call that it is in, `running`, or nothing."""
        return self._read("syscall").partition(b" ")[0].decode().strip()

    def close(self) -> None:
        """Close the descriptors."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}
