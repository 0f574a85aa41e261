"""A watched loop with innocent jobs on it, and all that the watch says of it."""

import asyncio
import contextlib
import queue
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import uvloop

from offload.loopwatch import describe
from offload.loopwatch.step_clock import Scope, current, drive
from offload.loopwatch.verdicts import Stall
from offload.loopwatch.watch import LoopWatch

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
BLAMES = ("step", "callback")


@dataclass(frozen=True)
class Found:
    """A stall as it was told: when the watchdog had it, when its record was made."""

    stall: Stall
    record: dict[str, Any]
    told_ns: int
    made_ns: int


class Stand:
    """Runs jobs on a watched loop, and keeps what is told of them."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.live: list[Found] = []
        self._told: queue.Queue[tuple[int, Stall] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._make_records, name="records", daemon=True)
        self._count = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self.watch: LoopWatch

    def job(self, function: str, coro: Coroutine[Any, Any, Any]) -> tuple[Scope, "asyncio.Task[Any]"]:
        """Start a job as a worker does."""
        self._count += 1
        scope = Scope("job", f"{function}-{self._count}", function)

        async def run() -> Any:
            current.set(scope)
            return await drive(coro, scope, self.watch.slot)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return scope, task

    def innocents(self, count: int, *, burn_ms: float, pause_s: float, call: Callable[[], Any] | None = None) -> None:
        """Start jobs that go on in short steps until the stand is closed."""

        async def innocent() -> None:
            while True:
                ends = time.thread_time_ns() + round(burn_ms * 1e6)
                while time.thread_time_ns() < ends:
                    pass
                if call is not None:
                    call()
                await asyncio.sleep(random.uniform(0.5, 1.5) * pause_s)

        for _ in range(count):
            self.job("innocent", innocent())

    def of(self, scope: Scope) -> list[Found]:
        """Return what was told of a job."""
        return [one for one in list(self.found) if one.stall.scope is scope]

    def blaming(self) -> list[Found]:
        """Return what was told so far that blames somebody."""
        return [one for one in list(self.found) if one.stall.kind in BLAMES]

    async def told(self, scope: Scope, patience: float = 0.5) -> list[Found]:
        """Return what is told of a job, waiting for it."""
        ends = time.monotonic() + patience
        while not self.of(scope) and time.monotonic() < ends:  # noqa: ASYNC110 - a thread tells it
            await asyncio.sleep(0.01)
        return self.of(scope)

    def _make_records(self) -> None:
        while (told := self._told.get()) is not None:
            at_ns, stall = told
            found = Found(stall, describe.record(stall, "worker", None), at_ns, time.monotonic_ns())
            (self.found if stall.is_over else self.live).append(found)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator["Stand"]:
        """Watch the running loop."""
        loop = asyncio.get_running_loop()
        self.watch = LoopWatch(loop, lambda stall: self._told.put((time.monotonic_ns(), stall)), startup=0)
        self._thread.start()
        await self.watch.start()
        try:
            yield self
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.watch.stop()
            self._told.put(None)
            await asyncio.to_thread(self._thread.join)


def on(loop: str, work: Callable[[Stand], Coroutine[Any, Any, None]]) -> Stand:
    """Run some work on a watched loop of one kind, and return all that was told."""
    stand = Stand()

    async def main() -> None:
        async with stand.watched():
            await work(stand)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
    return stand
