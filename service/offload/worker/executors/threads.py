"""Threads for blocking steps, a fixed number for each queue, sized to what the queue's resource can take.

They are daemon threads, unlike those of `ThreadPoolExecutor`: a call that cannot be stopped must not keep a stopping
worker alive past its grace. Its job was put back, so another worker has it.

A call that goes on after it was to end, a leaked one, does not starve its queue in silence: another thread takes its
place, up to as many as the queue has places. The job's own place in the limits of the queue was given back when its
attempt ended, so its resource is called no more often than the limit says, but by calls that nobody waits for.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from offload.domain.executors import ExecutorUsage
from offload.worker.executors.leaks import Leaks, Owner

T = TypeVar("T")


class Call:
    """One call on its way through a thread."""

    __slots__ = (
        "_threads",
        "asked_at",
        "begun_at",
        "done",
        "is_over",
        "loop",
        "on_start",
        "owner",
        "thread_id",
        "what",
    )

    def __init__(
        self, threads: "Threads", what: Callable[[], Any], on_start: Callable[[], None] | None, owner: Owner | None
    ) -> None:
        self._threads = threads
        self.what = what
        self.on_start = on_start
        self.owner = owner
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self.loop.create_future()
        self.asked_at = time.monotonic()
        self.begun_at = 0.0
        self.thread_id: int | None = None
        self.is_over = False

    def to_end(self) -> None:
        """Note that the call is to end: if it still runs when its grace is over, it has leaked."""
        if not self.is_over:
            self.loop.call_later(self._threads.leaks.grace, self._threads.leak, self)


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
        """How many calls run that were to end."""
        return len(self._leaked)

    @property
    def busy(self) -> int:
        """How many places are taken; a leaked call holds one only where there are more of them than places."""
        return min(self._taken, self.size)

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return self._taken - self.busy

    @property
    def is_full(self) -> bool:
        """Whether the next call has to wait for a thread."""
        return self._taken >= self.size

    @property
    def _replaced(self) -> int:
        return min(len(self._leaked), self.size)

    @property
    def _taken(self) -> int:
        return self._unfinished - self._replaced

    def call(
        self, what: Callable[[], Any], on_start: Callable[[], None] | None = None, owner: Owner | None = None
    ) -> Call:
        """Have a thread make a call, when one is free; `on_start` is then called on the event loop."""
        one = Call(self, what, on_start, owner)
        self._unfinished += 1
        self._calls.put(one)
        self._start_if_wanted()
        return one

    async def result(self, call: Call, usage: ExecutorUsage | None = None) -> Any:
        """Return what a call returns, and count how long it waited; when cancelled the call itself runs on."""
        try:
            return await call.done
        except asyncio.CancelledError:
            call.to_end()
            raise
        finally:
            if usage is not None:
                usage.waited_ns += round(((call.begun_at or time.monotonic()) - call.asked_at) * 1e9)

    async def run(
        self,
        call: Callable[[], T],
        on_start: Callable[[], None] | None = None,
        *,
        owner: Owner | None = None,
        usage: ExecutorUsage | None = None,
    ) -> T:
        """Run the call in a thread and return what it returns; when cancelled the call itself runs on to its end."""
        result: T = await self.result(self.call(call, on_start, owner), usage)
        return result

    def leak(self, call: Call) -> None:
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
                    result = call.what()
                except BaseException as raised:  # noqa: BLE001 - handed to whoever awaits the call
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
                self._calls.put(None)  # one thread too many is there now: whichever comes to this ends
        done = call.done
        if done.done():
            return
        if error is None:
            done.set_result(result)
        elif isinstance(error, StopIteration):  # a future refuses it
            done.set_exception(RuntimeError(f"the call raised {error!r}"))
        else:
            done.set_exception(error)
