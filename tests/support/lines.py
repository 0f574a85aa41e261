"""The output of a process, read until it says what a test waits for."""

import os
import re
import select
import signal
import subprocess
import time


class Lines:
    """What a process prints on stdout; `close` interrupts it and waits for its end."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.text = ""
        self._read = 0

    def until(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        """Return the first match after that of the call before; fail with the whole output where none comes."""
        ends = time.monotonic() + seconds
        while (match := re.search(pattern, self.text[self._read :])) is None:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, ends - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert chunk, f"{pattern!r} did not come:\n{self.text}"
            self.text += chunk.decode()
        self._read += match.end()
        return match

    def close(self) -> None:
        """Interrupt the process, and wait for its end."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
