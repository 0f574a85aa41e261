"""A file that a worker and its guardian share: the worker's last beat, and the stack it leaves when it hangs.

The beat is written by the event loop, so its age is how long the loop has been held. It is memory, not a message: the
guardian reads it whatever the worker is doing, even when C code holds its GIL. CLOCK_MONOTONIC is the same in both.
"""

import asyncio
import faulthandler
import mmap
import os
import signal
import struct
import tempfile
import time

_SIZE = 4096  # the stack is written behind the shared page
_STACK_LIMIT = 16_000
_BEAT = 0.25
DUMP = signal.SIGUSR2


class Pulse:
    """One end of the shared file."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._page = mmap.mmap(fd, _SIZE)

    @classmethod
    def create(cls) -> "Pulse":
        """Make a file that has no name; the descriptor is passed to the other process."""
        with tempfile.TemporaryFile() as file:
            file.truncate(_SIZE)
            return cls(os.dup(file.fileno()))

    def beat(self) -> None:
        """Say that the event loop turns."""
        struct.pack_into("d", self._page, 0, time.monotonic())

    def age(self) -> float | None:
        """Return the seconds since the last beat; None before the first."""
        (at,) = struct.unpack_from("d", self._page, 0)
        return time.monotonic() - at if at else None

    def offer_stack(self) -> None:
        """Let `SIGUSR2` write this process's Python stack into the file, by a C handler that needs no GIL."""
        os.lseek(self.fd, _SIZE, os.SEEK_SET)
        faulthandler.register(DUMP, file=self.fd, all_threads=False)  # all threads would walk live frames and may crash

    def stack(self) -> str:
        """Return the stack that was written, or an empty text."""
        return os.pread(self.fd, _STACK_LIMIT, _SIZE).decode(errors="replace")

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(_BEAT)

    def close(self) -> None:
        """Let go of the file."""
        self._page.close()
        os.close(self.fd)
