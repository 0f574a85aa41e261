"""A child process: passes on its output line by line, waits for its end, and can kill its whole process group.

It has a session of its own, so that a Ctrl-C at the terminal reaches only the parent, which stops things in order.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_DRAIN = 0.5  # How long to read on after the end, since a grandchild may hold the pipe for good.
_CHUNK = 65_536


@dataclass(frozen=True)
class Command:
    """An `offload` command to start, with a name for its output lines; `env` is the whole environment."""

    name: str
    words: Sequence[str]
    env: Mapping[str, str]
    pass_fds: tuple[int, ...] = ()
    cwd: Path | None = None

    @property
    def argv(self) -> list[str]:
        """The command line. With `-P` an `offload` in the working directory does not replace this package."""
        return [sys.executable, "-P", "-m", "offload", *self.words]


class OutputListener(Protocol):
    """Receives the output lines of children."""

    def note_start(self, name: str) -> None:
        """Note that a child is about to start."""

    def note_line(self, name: str, line: str) -> None:
        """Receive one line."""

    def note_refusal(self, name: str) -> None:
        """Note that a child cannot start; its output so far is the reason."""


@dataclass
class Child:
    """Runs a command, one process at a time."""

    command: Command
    listener: OutputListener
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """The name of its lines."""
        return self.command.name

    @property
    def is_running(self) -> bool:
        """True while a started process has not ended."""
        return self._process is not None and self._process.returncode is None

    async def run(self) -> int:
        """Start it, pass on its output, and return its exit code; when cancelled, kill it first."""
        self.listener.note_start(self.name)
        read_end, write_end = os.pipe()
        command = self.command
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env=dict(command.env),
                cwd=command.cwd,
                pass_fds=command.pass_fds,
                start_new_session=True,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._listen(read_end))
                code = await self._process.wait()
                self._signal_group(signal.SIGTERM)  # Processes that it left behind stop as well.
                await asyncio.wait([reading], timeout=_DRAIN)
                reading.cancel()
        except BaseException:
            self.kill()
            await self._process.wait()
            raise
        return code

    def terminate(self) -> None:
        """Ask it to stop; a worker that is asked twice stops at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """Kill it and the rest of its process group."""
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def _listen(self, read_end: int) -> None:
        async for line in _lines(read_end):
            self.listener.note_line(self.name, line)


async def _lines(read_end: int) -> AsyncIterator[str]:
    """Yield the lines of a pipe, of any length, and close it."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb"))
    try:
        rest = b""
        while chunk := await reader.read(_CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace").rstrip("\r")
        if rest:
            yield rest.decode("utf-8", "replace")
    finally:
        transport.close()
