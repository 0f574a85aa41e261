"""A line between a process and those it starts: when the first is gone, for whatever reason, the others stop.

`offload up` promises that nothing is left running, even when it is killed by SIGKILL and can run no code. So it holds
the write end of a pipe and writes nothing; every child inherits the read end, as OFFLOAD_LIFELINE_FD, and reads. The
kernel closes the write end with its holder, the read returns, and the child stops as on SIGTERM. A process group or a
parent's id would not do: a child may have children of its own, who must stop in order, and a parent's id can be reused.
"""

import os
import signal
import stat
import threading
import time
from types import TracebackType
from typing import Self

VARIABLE = "OFFLOAD_LIFELINE_FD"


class Lifeline:
    """The holder's side: give `pass_fds` and `env` to every child that must not outlive this process."""

    def __init__(self, read_end: int, write_end: int) -> None:
        self._read_end = read_end
        self._write_end: int | None = write_end

    @classmethod
    def create(cls) -> Self:
        """Make a line. No child inherits its write end: Python's descriptors are closed on exec."""
        return cls(*os.pipe())

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """The descriptors to pass to `subprocess` as `pass_fds`."""
        return (self._read_end,)

    @property
    def env(self) -> dict[str, str]:
        """The variables to add to a child's environment; a passed descriptor has the same number in the child."""
        return {VARIABLE: str(self._read_end)}

    def close(self) -> None:
        """Close the line: every child that still runs stops now. May be called again."""
        if self._write_end is not None:
            os.close(self._write_end)
            os.close(self._read_end)
            self._write_end = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def watch(fd: int, grace: float) -> threading.Thread:
    """Stop this process when the holder of the line is gone: SIGTERM, and SIGKILL if it is here `grace` seconds later.

    A daemon thread, which also ends a process with a blocked event loop. A child of this process that calls `watch` too
    must be given the descriptor (`pass_fds=(fd,)`). Raises SettingsError if `fd` is not a pipe.
    """
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        is_pipe = False
    if not is_pipe:
        from offload.settings import SettingsError  # noqa: PLC0415 - a supervisor does without the settings

        raise SettingsError(f"{VARIABLE}: {fd} is not an open pipe; only `offload up` sets it")
    os.set_inheritable(fd, False)  # noqa: FBT003  (the standard library takes it by position only)
    thread = threading.Thread(target=_wait_for_the_end, args=(fd, grace), name="offload-lifeline", daemon=True)
    thread.start()
    return thread


def _wait_for_the_end(fd: int, grace: float) -> None:
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.kill(os.getpid(), signal.SIGKILL)
