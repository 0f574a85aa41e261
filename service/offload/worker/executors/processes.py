"""Child processes for CPU-bound work: a `ProcessPoolExecutor` of one process each, so that each can be killed alone.

A child that was aborted, timed out, crashed or ran out of memory is replaced; no other job notices.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from offload.domain.artifacts import Artifact
from offload.domain.errors import ChildDied
from offload.domain.executors import ExecutorUsage
from offload.domain.functions import EnqueueOptions
from offload.worker.context import JobHandle
from offload.worker.executors import child
from offload.worker.executors.metering import Metered

_END_TIMEOUT = 5.0


class Served(Protocol):
    """What a child may ask for while it runs a job; called from a thread, so it may block."""

    def note(self, kind: str, said: dict[str, Any]) -> None:
        """Pass on progress or a log line."""

    def enqueue(self, function: str, args: dict[str, Any], options: EnqueueOptions) -> JobHandle:
        """Store a job."""

    def register(self, artifact: Artifact) -> None:
        """Note what a file is."""

    def find(self, artifact_id: str) -> Artifact:
        """Say what a file is."""


class Child:
    """One process, its pipe, and the thread that serves what it asks."""

    def __init__(self, context: Any, artifacts: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._pipe, theirs = context.Pipe()
        self._theirs: Connection = theirs
        self._executor = ProcessPoolExecutor(1, context, initializer=child.start, initargs=(theirs, artifacts))
        self._process: Any = None
        self._manager: threading.Thread | None = None
        self._served: Served | None = None
        self._ended = asyncio.Event()
        self._is_killed = False
        self._is_told_to_stop = False  # a child that was told is never used again
        self._loop = loop
        self._serving: threading.Thread | None = None
        self.jobs = 0

    async def call(self, served: Served | None, f: Callable[..., Any], *args: Any) -> Any:
        """Run a function in the child; raises ChildDied when the process ends under it."""
        self._served = served
        self._ended.clear()
        self.jobs += 1
        try:
            if self._process is None:
                await asyncio.to_thread(self._begin)
            if self._is_told_to_stop:  # while it was starting
                raise asyncio.CancelledError
            future = self._executor.submit(f, *args)
        except BrokenProcessPool:
            raise ChildDied(await asyncio.to_thread(self._last_words)) from None
        try:
            result = await asyncio.wrap_future(future)
        except BrokenProcessPool:
            raise ChildDied(await asyncio.to_thread(self._last_words)) from None
        async with asyncio.timeout(_END_TIMEOUT):
            await self._ended.wait()
        return result

    def _begin(self) -> None:
        """Start the process, and the fork server before the first one, and wait until it is there."""
        hello = self._executor.submit(child.hello)
        # ProcessPoolExecutor has no public way to its process before Python 3.14.
        process = next(iter(self._executor._processes.values()), None)  # noqa: SLF001
        self._manager = getattr(self._executor, "_executor_manager_thread", None)
        self._theirs.close()
        try:
            hello.result()
        finally:
            self._process = process
        self._serving = threading.Thread(target=self._serve, name="offload-child", daemon=True)
        self._serving.start()
        if self._is_killed:  # while it was starting
            self.kill()

    def ask_to_stop(self) -> None:
        """Let the job see `ctx.aborted`; one that waits for its process to start never does."""
        self._is_told_to_stop = True
        try:
            self._pipe.send(("abort",))
        except OSError:
            return

    def kill(self) -> None:
        """End the process now, or as soon as it has started."""
        self._is_killed = True
        if self._process is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """End the process when it is idle: its pipe ends, and so does it."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._process is None:
            self._theirs.close()
        self._pipe.close()

    def _last_words(self) -> str:
        """Say how the process ended; blocks until it has."""
        if self._process is None:
            return "its process did not start"
        if self._manager is not None:  # it asks for the exit code as well; who asks second, meanwhile, is told 255
            self._manager.join(1)
        self._process.join(1)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"its process ended with exit code {code}"
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"

    def _serve(self) -> None:
        while True:
            try:
                what, *about = self._pipe.recv()
            except (EOFError, OSError, TypeError):  # TypeError: closed by this side while it was read
                return
            if what == "end":
                self._loop.call_soon_threadsafe(self._ended.set)
            elif self._served is not None and what == "note":
                self._served.note(*about)
            elif self._served is not None:
                self._answer(self._served, what, *about)

    def _answer(self, served: Served, what: str, number: int, *about: Any) -> None:
        value: Any = None
        error: Exception | None = None
        try:
            match what:
                case "enqueue":
                    value = served.enqueue(*about).id
                case "register":
                    served.register(*about)
                case "find":
                    value = served.find(*about)
        except Exception as raised:  # noqa: BLE001 - raised again in the child
            error = raised
        try:
            self._pipe.send(("answer", number, value, error))
        except OSError:
            return


class Processes:
    """Up to `size` children for one queue; they start when they are first needed and are recycled."""

    def __init__(self, context: Any, size: int, artifacts: Path, recycle: int, grace: float) -> None:
        self.size = size
        self._context = context
        self._artifacts = artifacts
        self._recycle = recycle
        self._grace = grace
        self._free = asyncio.Semaphore(size)
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self.waiting = 0

    @property
    def busy(self) -> int:
        """How many children are running something."""
        return len(self._busy)

    @property
    def is_full(self) -> bool:
        """Whether the next call has to wait for a child."""
        return self._free.locked()

    async def run(
        self,
        served: Served | None,
        f: Callable[..., Metered],
        *args: Any,
        usage: ExecutorUsage,
        on_start: Callable[[], None] | None = None,
    ) -> Any:
        """Run a function in a child; when cancelled the job is asked to stop, then the child is killed.

        `on_start` is called when a child is free for it. The wait for a child, and the cost of the run, go to `usage`.
        """
        async with self._place(usage):
            if on_start is not None:
                on_start()
            one = self._idle.pop() if self._idle else await asyncio.to_thread(self._make, asyncio.get_running_loop())
            self._busy.add(one)
            call = asyncio.ensure_future(one.call(served, f, *args))
            try:
                result = await asyncio.shield(call)
            except asyncio.CancelledError:
                try:
                    one.ask_to_stop()
                    await asyncio.wait([call], timeout=self._grace)
                finally:  # it may be cancelled again meanwhile
                    one.kill()
                await asyncio.gather(call, return_exceptions=True)
                raise
            except ChildDied:
                one.kill()
                raise
            except BaseException:  # a step's own exception: the child is as good as before
                self._put_away(one)
                raise
            else:
                self._put_away(one)
                usage.add(result.cpu_ns, result.peak_rss)
                return result.value
            finally:
                self._busy.discard(one)

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
        for one in self._idle:
            one.close()
        self._idle.clear()
        for one in list(self._busy) if now else ():
            one.kill()

    def _make(self, loop: asyncio.AbstractEventLoop) -> Child:
        """Make a child; blocks: the first one of the process starts the tracker of its semaphores."""
        return Child(self._context, self._artifacts, loop)

    def _put_away(self, one: Child) -> None:
        if one.jobs >= self._recycle:
            one.close()
        else:
            self._idle.append(one)


def start_context(preload: Sequence[str]) -> Any:
    """Return how children are started: from a fork server that has the job modules loaded, never by forking a worker.

    A fork of a process with threads can deadlock (Python 3.12 warns of it), hence a server that has none.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["offload.worker.executors.child", *preload])
    return context
