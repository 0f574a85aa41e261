"""Threads for blocking calls, a fixed number for each queue, sized to the limit of the resource behind it.

They are daemon threads, unlike those of `ThreadPoolExecutor`: a call that cannot be stopped must not keep a stopping
worker alive past its grace. Its job was requeued, so another worker has it.

Nothing can end a thread from outside. A call that runs on after its job was aborted or timed out is a leaked one: it
may return in a moment, or never. It is counted and named in the log, and another thread takes its place, up to as many
as the queue has. The job's own place in the limits of the queue is free again since its attempt ended, so the resource
may be called more often than the limit says by leaked calls only. A worker with too many of them is replaced.
"""

import asyncio
import gc
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from offload.domain.executors import ExecutorUsage
from offload.loopwatch.user_code import FOREIGN

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Owner:
    """The job that a call belongs to."""

    job_id: str
    function: str


class Call:
    """One call, which waits for a thread, runs in one, or has ended."""

    __slots__ = (
        "_threads",
        "asked_at",
        "begun_at",
        "done",
        "function",
        "is_over",
        "loop",
        "on_start",
        "owner",
        "thread_id",
    )

    def __init__(
        self, threads: "Threads", function: Callable[[], Any], on_start: Callable[[], None] | None, owner: Owner | None
    ) -> None:
        self._threads = threads
        self.function = function
        self.on_start = on_start
        self.owner = owner
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self.loop.create_future()
        self.asked_at = time.monotonic()
        self.begun_at = 0.0
        self.thread_id: int | None = None
        self.is_over = False

    def expect_end(self) -> None:
        """Count the call as leaked if it still runs when its grace is over."""
        if not self.is_over:
            self.loop.call_later(self._threads.leaks.grace, self._threads.count_leak, self)


class Leaks:
    """The leaked calls of one worker, over all queues.

    A call has `grace` seconds to end. `full` is called when `most` have leaked (0: never).
    """

    def __init__(self, grace: float, most: int) -> None:
        self.grace = grace
        self._most = most
        self._calls: set[Call] = set()
        self.full: Callable[[int], None] = lambda _: None

    def add(self, call: "Call", queue: str) -> None:
        """Count a leaked call; call this on the event loop."""
        self._calls.add(call)
        job = _job_fields(call.owner)
        log.warning("thread_leaked", **job, queue=queue, at=position_of(call.thread_id), leaked=len(self._calls))
        if self._most and len(self._calls) >= self._most:
            self.full(len(self._calls))

    def remove(self, call: "Call", queue: str) -> None:
        """Note that a leaked call has returned."""
        self._calls.discard(call)
        took = round(time.monotonic() - call.begun_at, 1)
        log.info("thread_returned", **_job_fields(call.owner), queue=queue, after_s=took, leaked=len(self._calls))


class Threads:
    """Up to `size` threads, and one more for each leaked call; further calls wait for a free one."""

    def __init__(self, name: str, size: int, leaks: Leaks) -> None:
        self.name = name
        self.size = size
        self.leaks = leaks
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._started = 0
        self._unfinished = 0
        self._leaked: set[Call] = set()

    @property
    def leaked(self) -> int:
        """The number of leaked calls that still run."""
        return len(self._leaked)

    @property
    def busy(self) -> int:
        """The number of places taken; a leaked call takes one only beyond the first `size` leaked calls."""
        return min(self._taken, self.size)

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a thread."""
        return self._taken - self.busy

    @property
    def is_full(self) -> bool:
        """True when the next call has to wait for a thread."""
        return self._taken >= self.size

    @property
    def _replaced(self) -> int:
        return min(len(self._leaked), self.size)

    @property
    def _taken(self) -> int:
        return self._unfinished - self._replaced

    def start_call(
        self, function: Callable[[], Any], on_start: Callable[[], None] | None = None, owner: Owner | None = None
    ) -> Call:
        """Run a function when a thread is free; `on_start` is then called on the event loop."""
        call = Call(self, function, on_start, owner)
        self._unfinished += 1
        self._calls.put(call)
        self._start_if_wanted()
        return call

    async def result_of(self, call: Call, usage: ExecutorUsage | None = None) -> Any:
        """Return what a call returns, and add the time that it waited to `usage`; when cancelled the call runs on."""
        try:
            return await call.done
        except asyncio.CancelledError:
            call.expect_end()
            raise
        finally:
            if usage is not None:
                usage.waited_ns += round(((call.begun_at or time.monotonic()) - call.asked_at) * 1e9)

    async def run_call(
        self,
        function: Callable[[], T],
        on_start: Callable[[], None] | None = None,
        *,
        owner: Owner | None = None,
        usage: ExecutorUsage | None = None,
    ) -> T:
        """Run a function in a thread and return what it returns; when cancelled the call runs on to its end."""
        result: T = await self.result_of(self.start_call(function, on_start, owner), usage)
        return result

    def count_leak(self, call: Call) -> None:
        """Count a call as leaked, if it still runs, and let another thread take its place."""
        if call.thread_id is None or call.is_over or call in self._leaked:
            return
        self._leaked.add(call)
        self.leaks.add(call, self.name)
        self._start_if_wanted()

    def _start_if_wanted(self) -> None:
        if self._started < min(self._unfinished, self.size + self._replaced):
            self._started += 1
            threading.Thread(target=self._work, name=f"offload-{self.name}-{self._started}", daemon=True).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.begun_at, call.thread_id = time.monotonic(), threading.get_ident()
            result, error = None, None
            if not call.done.cancelled():
                try:
                    if call.on_start is not None:
                        call.loop.call_soon_threadsafe(call.on_start)
                    result = call.function()
                except BaseException as raised:  # noqa: BLE001 - raised where the call is awaited
                    error = raised
            call.thread_id = None
            try:
                call.loop.call_soon_threadsafe(self._settle, call, result, error)
            except RuntimeError:  # the loop is closed: the worker has stopped
                return
            del call, result, error

    def _settle(self, call: Call, result: Any, error: BaseException | None) -> None:
        self._unfinished -= 1
        call.is_over = True
        if call in self._leaked:
            self._leaked.remove(call)
            self.leaks.remove(call, self.name)
            if self._started > self.size + self._replaced:
                self._started -= 1
                self._calls.put(None)  # there is one thread too many now; the one that takes this ends
        done = call.done
        if done.done():
            return
        if error is None:
            done.set_result(result)
        elif isinstance(error, StopIteration):  # a future refuses it
            done.set_exception(RuntimeError(f"the call raised {error!r}"))
        else:
            done.set_exception(error)


def position_of(thread_id: int | None) -> str | None:
    """Return file and line at which a thread is, in the user's code, or in a library where none of that is running."""
    was_enabled = gc.isenabled()
    gc.disable()  # a collection inside it can deadlock before Python 3.11.9 (gh-106883)
    try:
        frame = innermost = sys._current_frames().get(thread_id or 0)  # noqa: SLF001 - the only way to ask
    finally:
        if was_enabled:
            gc.enable()
    while frame is not None and frame.f_code.co_filename.startswith((*FOREIGN, "<")):
        frame = frame.f_back
    frame = frame or innermost
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else None


def _job_fields(owner: Owner | None) -> dict[str, str]:
    return {"job_id": owner.job_id, "function": owner.function} if owner is not None else {}
