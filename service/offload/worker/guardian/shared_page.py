"""The page of memory that a worker and its guardian share: the loop's beat, the step under way, and a hang's stack.

The beat is written by the event loop, so its age is how long the loop has been held. Which job holds it, and since
when, is written by the step clock as each step begins: two stores into memory, 0.05 µs, so that it is there whatever
happens next, even C code that never lets go of the GIL. A job is written as the checksum of its id, which needs no
table: the guardian compares it with the ids that Redis has for the worker. It is memory, not messages, so it can be
read whatever the worker is doing. CLOCK_MONOTONIC is the same in both processes.

The guardian asks for two things before it kills a worker. The stack: a C handler of `SIGUSR2` writes it, without the
GIL. And a sign of life: a thread that sleeps at a pipe answers, if the interpreter lets it.
"""

import asyncio
import contextlib
import faulthandler
import mmap
import os
import signal
import struct
import tempfile
import threading
import time
import zlib
from typing import NamedTuple

_SIZE = 4096  # the stack is written behind the shared page
_BEAT_AT, _ANSWER_AT, _STEP_AT = 0, 8, 16
_STACK_LIMIT = 16_000
_BEAT_S = 0.25
DUMP = signal.SIGUSR2


class Descriptors(NamedTuple):
    """The descriptors that both processes have open: the file, and the pipe by which a sign of life is asked for."""

    file: int
    pipe_out: int
    pipe_in: int


class Step(NamedTuple):
    """The last step that began: the mark of its job (0: none), and when, in ns of the monotonic clock."""

    mark: int
    started_ns: int


def mark_of(job_id: str) -> int:
    """Return the number of a job in the shared page; never 0."""
    return zlib.crc32(job_id.encode()) or 1


class SharedPage:
    """One process's end of the page."""

    def __init__(self, fds: Descriptors) -> None:
        self.fds = fds
        self._page = mmap.mmap(fds.file, _SIZE)
        self.step_page = memoryview(self._page)[_STEP_AT : _STEP_AT + 16].cast("Q")
        self._witness: threading.Thread | None = None
        self._is_closing = False

    @classmethod
    def create(cls) -> "SharedPage":
        """Make a file that has no name, and a pipe; the descriptors are passed to the other process."""
        with tempfile.TemporaryFile() as file:
            file.truncate(_SIZE)
            pipe_out, pipe_in = os.pipe()
            os.set_blocking(pipe_in, False)
            return cls(Descriptors(os.dup(file.fileno()), pipe_out, pipe_in))

    # The worker's side.

    def answer_guardian(self) -> None:
        """Answer a guardian that asks for this process's Python stack and a sign of life, from now on."""
        os.lseek(self.fds.file, _SIZE, os.SEEK_SET)
        faulthandler.register(DUMP, file=self.fds.file, all_threads=False)  # all would walk live frames and may crash
        self._witness = threading.Thread(target=self._testify, name="offload-witness", daemon=True)
        self._witness.start()

    def beat(self) -> None:
        """Note that the event loop turns."""
        struct.pack_into("d", self._page, _BEAT_AT, time.monotonic())

    async def keep_beating(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(_BEAT_S)

    def _testify(self) -> None:
        while os.read(self.fds.pipe_out, 64) and not self._is_closing:
            struct.pack_into("d", self._page, _ANSWER_AT, time.monotonic())

    # The guardian's side.

    def last_beat(self) -> float | None:
        """Return when the loop last turned, on the monotonic clock; None before it first did."""
        at: float = struct.unpack_from("d", self._page, _BEAT_AT)[0]
        return at or None

    def step(self) -> Step:
        """Return the last step that began; the stack tells if it still lasts."""
        return Step(*struct.unpack_from("QQ", self._page, _STEP_AT))

    def ask_for_stack(self, pid: int) -> None:
        """Ask for the stack, whatever was written before, and for a sign of life."""
        os.ftruncate(self.fds.file, _SIZE)
        os.lseek(self.fds.file, _SIZE, os.SEEK_SET)  # both processes write at the one offset that they share
        struct.pack_into("d", self._page, _ANSWER_AT, 0.0)
        os.kill(pid, DUMP)
        with contextlib.suppress(BlockingIOError):
            os.write(self.fds.pipe_in, b"?")

    def stack(self) -> str:
        """Return the stack that was written, or an empty text."""
        return os.pread(self.fds.file, _STACK_LIMIT, _SIZE).decode(errors="replace")

    def has_answered(self) -> bool:
        """Return True when a thread of the worker has run Python since it was asked."""
        at: float = struct.unpack_from("d", self._page, _ANSWER_AT)[0]
        return at > 0

    def close(self) -> None:
        """Close the descriptors. The memory stays for a step that may still be under way, and goes with it."""
        self._is_closing = True
        if self._witness is not None:
            faulthandler.unregister(DUMP)
            with contextlib.suppress(BlockingIOError):
                os.write(self.fds.pipe_in, b".")
            self._witness.join()
        for fd in self.fds:
            os.close(fd)
