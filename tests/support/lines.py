"""The output of a process, read until it says what a test waits for."""

import os
import re
import select
import signal
import subprocess
import time


def read_until(
    process: subprocess.Popen, text: str, start: int, pattern: str, seconds: float
) -> tuple[re.Match[str], str]:
    """Read on until the text from `start` on has a match; return it, and the text; fail with all of it otherwise."""
    ends = time.monotonic() + seconds
    while (match := re.search(pattern, text[start:])) is None:
        ready, _, _ = select.select([process.stdout], [], [], max(0, ends - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
        assert chunk, f"{pattern!r} did not come:\n{text}"
        text += chunk.decode()
    return match, text


class Lines:
    """What a process prints on stdout; `close` interrupts it and waits for its end."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.text = ""
        self._read = 0

    def until(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        """Return the first match after that of the call before; fail with the whole output where none comes."""
        match, self.text = read_until(self.process, self.text, self._read, pattern, seconds)
        self._read += match.end()
        return match

    def close(self) -> None:
        """Interrupt the process, and wait for its end."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
