"""`offload up` in a directory of its own: its output, its processes, and other commands in the same directory."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.lines import read_until

JOBS = """
from offload import JobContext, job

@job
async def add(ctx: JobContext, a: int, b: int) -> int:
    return a + b

@job(timeout=120)
async def sleep(ctx: JobContext, seconds: float) -> None:
    import asyncio
    ctx.log.info("sleeping")
    await asyncio.sleep(seconds)

@job
async def hold(ctx: JobContext, seconds: float) -> None:
    import time
    time.sleep(seconds)
"""


class Up:
    """One `offload up` in a directory of its own, and the other commands beside it."""

    def __init__(self, directory):
        self.directory = directory
        self.process = None
        self.said = ""
        self.heard = 0
        self.settings = {"OFFLOAD_JOBS": "shop", "OFFLOAD_DATA_DIR": str(directory / "data")}
        (directory / "shop.py").write_text(JOBS)

    @property
    def env(self):
        return {**{k: v for k, v in os.environ.items() if not k.startswith("OFFLOAD_")}, **self.settings}

    def start(self, *options, until="Offload is up."):
        """Start it on a free port, and return when it has said `until`."""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "offload", "up", "--port", "0", *options],
            cwd=self.directory,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.hear(until)

    def hear(self, pattern, seconds=30):
        """Return the match once what `up` says has the pattern, after the match of the call before."""
        match, self.said = read_until(self.process, self.said, self.heard, pattern, seconds)
        self.heard += match.end()
        return match

    @property
    def url(self):
        return re.search(r"API +(http://\S+)/v1", self.said)[1]

    def offload(self, *words):
        """Run another command in the same directory, as in a second shell."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "offload", *words],
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def refused(self, *options):
        """Run `up` where it cannot work; return its exit code and what it said on stderr."""
        done = self.offload("up", "--port", "0", *options)
        return done.returncode, done.stderr

    def ends(self, seconds=30):
        """Wait for its end and return its exit code."""
        self.said += self.process.communicate(timeout=seconds)[0].decode()
        return self.process.returncode

    def processes(self):
        """Every process that has this directory in its environment, command line or working directory."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                about = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                about += os.fsencode((entry / "cwd").readlink())
                if str(self.directory).encode() in about:
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ").strip()
        return found

    def wait_until_gone(self, pids, seconds=30):
        """Wait for the end of processes that are not our children."""
        ends = time.monotonic() + seconds
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                try:
                    ready, _, _ = select.select([descriptor], [], [], max(0, ends - time.monotonic()))
                finally:
                    os.close(descriptor)
                assert ready, f"{pid} still runs: {self.processes()}"


@contextlib.contextmanager
def up_in(directory):
    """Yield one `Up`; afterwards nothing of it runs any more."""
    made = Up(directory)
    try:
        yield made
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()
            made.process.stdout.close()
        for pid in made.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
