"""Starting one worker process: its arguments, and the pipe that carries the order to begin.

A process takes its time to load Python and the user's modules: half a second on a quiet machine, seconds if they are
many. So one that may soon be needed is started early and waits, with everything loaded, for a byte on a pipe.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

from offload.worker.exit_codes import new_worker_id
from offload.worker.guardian.shared_page import SharedPage


class Launch:
    """A worker process that has been started; it runs nothing, and does not connect to Redis, before `begin`."""

    def __init__(self, arguments: Sequence[str], lifeline_fd: int | None) -> None:
        self.worker = new_worker_id()
        self.page = SharedPage.create()
        supervisor_fd, self._supervisor_end = os.pipe()  # the worker's end is readable when this process is gone
        begin_fd, self._begin_end = os.pipe()
        fds = [supervisor_fd, begin_fd, *self.page.fds, *([lifeline_fd] if lifeline_fd is not None else [])]
        command = [sys.executable, "-P", "-m", "offload.worker", "--id", self.worker, *arguments]
        command += ["--supervisor-fd", str(supervisor_fd), "--begin-fd", str(begin_fd)]
        command += ["--page-fds", *map(str, self.page.fds)]
        self.child = subprocess.Popen(command, pass_fds=fds)
        os.close(supervisor_fd)
        os.close(begin_fd)

    def begin(self) -> None:
        """Let the process run; one that has ended meanwhile has an exit code."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._begin_end, b"begin")

    def dismiss(self) -> None:
        """End the process before it has begun: it is not needed."""
        self.child.kill()
        self.child.wait()
        self.close()

    def close(self) -> None:
        """Close the descriptors; a process that still runs loses its guardian, and starts another."""
        os.close(self._begin_end)
        os.close(self._supervisor_end)
        self.page.close()
