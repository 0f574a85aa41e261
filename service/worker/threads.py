"""Threads for blocking steps, a fixed number for each queue, sized to what the queue's resource can take.

They are daemon threads, unlike those of `ThreadPoolExecutor`: a call that cannot be stopped must not keep a stopping
worker alive past its grace. Its job was put back, so another worker has it.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_Call = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], None] | None]


class Threads:
    """Up to `size` threads; further calls wait for a free one."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._started = 0
        self._unfinished = 0

    @property
    def busy(self) -> int:
        """How many threads are running a call, those that nobody waits for any more included."""
        return min(self._unfinished, self.size)

    @property
    def is_full(self) -> bool:
        """Whether the next call has to wait for a thread."""
        return self._unfinished >= self.size

    async def run(self, call: Callable[[], T], on_start: Callable[[], None] | None = None) -> T:
        """Run the call in a thread and return what it returns; when cancelled the call itself runs on to its end.

        `on_start` is called on the event loop when a thread takes the call up.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._unfinished += 1
        self._calls.put((call, loop, done, on_start))
        if self._started < min(self._unfinished, self.size):
            self._started += 1
            threading.Thread(target=self._work, name=f"offload-{self.name}-{self._started}", daemon=True).start()
        return await done

    def _work(self) -> None:
        while True:
            call, loop, done, on_start = self._calls.get()
            result, error = None, None
            if not done.cancelled():
                try:
                    if on_start is not None:
                        loop.call_soon_threadsafe(on_start)
                    result = call()
                except BaseException as raised:  # noqa: BLE001 - handed to whoever awaits the call
                    error = raised
            try:
                loop.call_soon_threadsafe(self._settle, done, result, error)
            except RuntimeError:  # the loop is closed: the worker has stopped
                return
            del call, done, on_start, result, error

    def _settle(self, done: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        self._unfinished -= 1
        if done.done():
            return
        if error is None:
            done.set_result(result)
        elif isinstance(error, StopIteration):  # a future refuses it
            done.set_exception(RuntimeError(f"the call raised {error!r}"))
        else:
            done.set_exception(error)
