"""The worker's side of its guardian: start one, notice when it is gone, start another, say goodbye.

Until the guardian is there, which takes a Python process half a second and more, the worker renews by itself.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from offload.domain.errors import Unavailable
from offload.domain.restarts import Restarts
from offload.worker.guardian.guardian import GuardedWorker
from offload.worker.guardian.shared_page import SharedPage

log = structlog.get_logger(__name__)
T = TypeVar("T")


class GuardianLink:
    """Keeps a guardian beside this process. `parent_fd` is a pipe that ends with the guardian that is our parent."""

    def __init__(
        self,
        charge: GuardedWorker,
        pulse: SharedPage,
        renew: Callable[[], Awaitable[Any]],
        parent_fd: int | None = None,
    ) -> None:
        self._charge = charge
        self._pulse = pulse
        self._renew = renew
        self._parent_fd = parent_fd
        self._process: asyncio.subprocess.Process | None = None
        self.is_there = asyncio.Event()

    async def run(self, delay: float = 0.0, *, orphaned: Callable[[], None] = lambda: None) -> None:
        """See to it that there is a guardian, from `delay` seconds on, until cancelled.

        `orphaned` is called when the parent that was the guardian is gone.
        """
        await asyncio.sleep(delay)
        if self._parent_fd is not None:
            await self._parent_gone(self._parent_fd)
            orphaned()
            log.warning("guardian_lost", guardian="parent")
        restarts = Restarts()
        while True:
            began = time.monotonic()
            process = await self._start()
            said = await self._stand_in_until(process.stdout.readline()) if process.stdout is not None else b""
            if said:  # it has renewed
                self.is_there.set()
                log.info("guardian_there", guardian=process.pid)
            code = await process.wait()
            self.is_there.clear()
            log.warning("guardian_lost", guardian=process.pid, exit_code=code)
            await self._stand_in_until(asyncio.sleep(restarts.pause_after(time.monotonic() - began)))

    async def _stand_in_until(self, something: Coroutine[Any, Any, T]) -> T:
        async with asyncio.TaskGroup() as group:
            awaited = group.create_task(something)
            while not awaited.done():
                with contextlib.suppress(Unavailable):
                    await self._renew()
                await asyncio.wait([awaited], timeout=self._charge.lease_ms / 3000)
            return await awaited

    async def goodbye(self) -> None:
        """Tell the guardian that this worker stops in order, and see it off."""
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
            log.warning("guardian_did_not_leave", guardian=process.pid)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a package of the user's may be called `service` too
            "-m",
            "offload.worker.guardian.guardian",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._pulse.fds,
            start_new_session=True,  # what kills the worker's whole group must leave the guardian to act
        )
        self._process = process
        about = {
            "pid": os.getpid(),
            "pulse_fds": self._pulse.fds,
            "worker": self._charge.worker,
            "address": dict(self._charge.address),
            "lease_ms": self._charge.lease_ms,
            "max_tries": self._charge.max_tries,
            "kept_ms": self._charge.kept_ms,
        }
        if process.stdin is not None:
            process.stdin.write(json.dumps(about).encode() + b"\n")
            await process.stdin.drain()
        return process

    @staticmethod
    async def _parent_gone(fd: int) -> None:
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()

        def readable() -> None:
            loop.remove_reader(fd)
            if not gone.done():
                gone.set_result(None)

        loop.add_reader(fd, readable)
        await gone
