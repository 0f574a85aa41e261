"""The child processes of a queue, for CPU-bound work; each can be killed alone.

A child that was aborted, timed out, crashed or ran out of memory is replaced; no other job notices.
"""

import asyncio
import contextlib
import multiprocessing
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from offload.domain.errors import ChildDied
from offload.domain.executors import ExecutorUsage
from offload.worker.executors.child_process import CallEnd, ChildProcess, Serve
from offload.worker.executors.messages import JobWork, StepWork

_KILL_TIMEOUT = 1.0  # seconds until a killed process is known to have ended; it takes far less


class Processes:
    """Up to `size` children for one queue; they start when they are first needed and are recycled."""

    def __init__(self, context: Any, size: int, artifacts: Path, recycle: int, grace: float) -> None:
        self.size = size
        self._context = context
        self._artifacts = artifacts
        self._recycle = recycle
        self._grace = grace
        self._free = asyncio.Semaphore(size)
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self.waiting = 0

    @property
    def busy(self) -> int:
        """The number of children that run something."""
        return len(self._busy)

    @property
    def is_full(self) -> bool:
        """True when the next call has to wait for a child."""
        return self._free.locked()

    async def run_work(
        self,
        work: JobWork | StepWork,
        serve: Serve | None = None,
        *,
        usage: ExecutorUsage,
        on_start: Callable[[], None] | None = None,
    ) -> Any:
        """Run some work in a child; when cancelled the job is asked to stop, then the child is killed.

        `serve` takes the job's messages. `on_start` is called when a child is free. How long that took, and what the
        work cost, is added to `usage`. Raises what the work raises, and ChildDied when the process ends before it.
        """
        async with self._place(usage):
            if on_start is not None:
                on_start()
            child = self._take()
            self._busy.add(child)
            call = child.call(work, serve)
            try:
                end = await asyncio.shield(call)
            except asyncio.CancelledError:
                call.add_done_callback(_forget)
                try:
                    child.ask_to_stop()
                    await asyncio.wait([call], timeout=self._grace)
                finally:  # it may be cancelled again meanwhile
                    child.kill()
                await asyncio.wait([call], timeout=_KILL_TIMEOUT)
                raise
            except ChildDied:
                child.kill()
                raise
            except BaseException:  # arguments that cannot pass: the child is as good as before
                self._put_away(child)
                raise
            finally:
                self._busy.discard(child)
            self._put_away(child)
            usage.add(end.cpu_ns, end.peak_rss)
            if end.error is not None:
                raise end.error
            return end.value

    @contextlib.asynccontextmanager
    async def _place(self, usage: ExecutorUsage) -> AsyncIterator[None]:
        asked_ns = time.monotonic_ns()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
            usage.waited_ns += time.monotonic_ns() - asked_ns
        try:
            yield
        finally:
            self._free.release()

    def close(self, *, now: bool = False) -> None:
        """End all children: the idle ones, and the busy ones too when `now`."""
        for child in self._idle:
            child.close()
        self._idle.clear()
        for child in list(self._busy) if now else ():
            child.kill()

    def _take(self) -> ChildProcess:
        """Return an idle child, or a new one where all that were idle have been killed."""
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            child.close()
        return ChildProcess(self._context, self._artifacts, asyncio.get_running_loop())

    def _put_away(self, child: ChildProcess) -> None:
        if child.calls >= self._recycle:
            child.close()
        else:
            self._idle.append(child)


def _forget(call: "asyncio.Future[CallEnd]") -> None:
    """Mark the error of a call as seen, since nothing awaits the call any more."""
    if not call.cancelled():
        call.exception()


def start_context(preload: Sequence[str]) -> Any:
    """Return how children are started: from a fork server that has the job modules loaded, never by forking a worker.

    A fork of a process with threads can deadlock (Python 3.12 warns of it), hence a server that has none.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["offload.worker.executors.child", *preload])
    return context
