"""Starting one worker process: what it is given, and how it is told to begin.

A process takes its time to load Python and the user's modules: half a second on a quiet machine, seconds where they
are many. So one that may soon be wanted is started early and waits, with everything loaded, for a word on a pipe.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

from offload.worker.exit_codes import new_worker_id
from offload.worker.guardian.shared_page import SharedPage


class Launch:
    """A worker process that has been started; it runs nothing, and Redis hears nothing of it, before `begin`."""

    def __init__(self, arguments: Sequence[str], lifeline_fd: int | None) -> None:
        self.worker = new_worker_id()
        self.pulse = SharedPage.create()
        hear_end, self._end = os.pipe()
        hear_begin, self._begin = os.pipe()
        command = [sys.executable, "-P", "-m", "offload.worker", "--id", self.worker, "--guard-fd", str(hear_end)]
        command += ["--begin-fd", str(hear_begin), "--pulse-fds", *map(str, self.pulse.fds), *arguments]
        fds = [hear_end, hear_begin, *self.pulse.fds, *([lifeline_fd] if lifeline_fd is not None else [])]
        self.child = subprocess.Popen(command, pass_fds=fds)
        os.close(hear_end)
        os.close(hear_begin)

    def begin(self) -> None:
        """Let it run; one that has ended meanwhile has an exit code."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._begin, b"begin")

    def dismiss(self) -> None:
        """End it before it has begun: it is not wanted."""
        self.child.kill()
        self.child.wait()
        self.close()

    def close(self) -> None:
        """Let go of what is shared with the process; one that still runs loses its guardian, and starts another."""
        os.close(self._begin)
        os.close(self._end)
        self.pulse.close()
