"""The worker's side of its guardian: start one, notice when it is gone, start another, dismiss it at the end.

Until the guardian renews, which takes a Python process half a second and more to begin, the worker renews by itself.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from typing import Any, TypeVar

import structlog

from offload.domain.errors import Unavailable
from offload.domain.restarts import Restarts
from offload.worker.guardian.guardian import GuardedWorker
from offload.worker.guardian.shared_page import SharedPage

log = structlog.get_logger(__name__)
T = TypeVar("T")


class GuardianLink:
    """Keeps a guardian beside this process. `supervisor_fd` is a pipe that ends with a guardian that is our parent."""

    def __init__(
        self,
        guarded: GuardedWorker,
        page: SharedPage,
        renew: Callable[[], Awaitable[Any]],
        supervisor_fd: int | None = None,
    ) -> None:
        self._guarded = guarded
        self._page = page
        self._renew = renew
        self._supervisor_fd = supervisor_fd
        self._process: asyncio.subprocess.Process | None = None
        self.is_renewing = asyncio.Event()

    async def keep_guardian(self, delay: float = 0.0, *, orphaned: Callable[[], None] = lambda: None) -> None:
        """Keep a guardian running, from `delay` seconds on, until cancelled.

        `orphaned` is called when the parent that was the guardian is gone.
        """
        await asyncio.sleep(delay)
        if self._supervisor_fd is not None:
            await self._supervisor_gone(self._supervisor_fd)
            orphaned()
            log.warning("guardian_lost", guardian="parent")
        restarts = Restarts()
        while True:
            began = time.monotonic()
            process = await self._start()
            line = await self._renew_until(process.stdout.readline()) if process.stdout is not None else b""
            if line:  # it has renewed
                self.is_renewing.set()
                log.info("guardian_started", guardian=process.pid)
            code = await process.wait()
            self.is_renewing.clear()
            log.warning("guardian_lost", guardian=process.pid, exit_code=code)
            await self._renew_until(asyncio.sleep(restarts.pause_after(time.monotonic() - began)))

    async def _renew_until(self, work: Coroutine[Any, Any, T]) -> T:
        async with asyncio.TaskGroup() as group:
            awaited = group.create_task(work)
            while not awaited.done():
                with contextlib.suppress(Unavailable):
                    await self._renew()
                await asyncio.wait([awaited], timeout=self._guarded.lease_ms / 3000)
            return await awaited

    async def dismiss_guardian(self) -> None:
        """Tell the guardian that this worker stops in order, and wait for its end."""
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            return
        try:
            process.stdin.write(b"bye\n")
            await process.stdin.drain()
            process.stdin.close()
            async with asyncio.timeout(5):
                await process.wait()
        except (OSError, TimeoutError):
            log.warning("guardian_exit_timeout", guardian=process.pid)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory may have modules with the names of ours, or of what we import
            "-m",
            "offload.worker.guardian.guardian",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._page.fds,
            start_new_session=True,  # what kills the worker's whole group must leave the guardian to act
        )
        self._process = process
        start = {"pid": os.getpid(), "page_fds": self._page.fds, **asdict(self._guarded)}
        if process.stdin is not None:
            process.stdin.write(json.dumps(start).encode() + b"\n")
            await process.stdin.drain()
        return process

    @staticmethod
    async def _supervisor_gone(fd: int) -> None:
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()

        def readable() -> None:
            loop.remove_reader(fd)
            if not gone.done():
                gone.set_result(None)

        loop.add_reader(fd, readable)
        await gone
