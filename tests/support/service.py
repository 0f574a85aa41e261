"""The API as a real process, seen from outside: its address, its log, its open files, its memory."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offload.settings import child_environment
from support.engine import WorkerProcess

REDIS = 66
"""So many connections to Redis an API process may keep for the next calls."""


async def until(told: Callable[[], bool], timeout: float = 10) -> None:
    """Return when it is so, of what tells nobody by itself; fails the test when it does not come."""
    async with asyncio.timeout(timeout):
        while not told():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.02)


class ApiProcess(WorkerProcess):
    """`offload api` on a free port."""

    @classmethod
    def start(cls, url: str, cwd: Path, jobs: list[str], **settings: Any) -> "ApiProcess":
        """Start it on job modules that lie in `cwd`; it may not listen yet."""
        changes = {"redis_url": url, "jobs": jobs, "data_dir": cwd / ".offload", "log_format": "json", **settings}
        return cls([sys.executable, "-m", "offload", "api", "--port", "0"], child_environment(changes), cwd)

    async def listens(self) -> str:
        """Return its address when it listens."""
        return str((await self.until("api_listening"))["url"])

    @property
    def files(self) -> int:
        """How many files, sockets among them, it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def memory(self) -> int:
        """Its resident memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def faults(self) -> list[dict[str, Any]]:
        """What its log says of faults of its own."""
        return [line for line in self.log if line.get("level") == "error" or "exception" in line or line.get("plain")]
