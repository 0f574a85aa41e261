"""The tasks that run beside a worker's claim loop: they are owned here, and one that fails stops the worker."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from offload.store.connection.cancelling import cancel_all

log = structlog.get_logger(__name__)


class SideTasks:
    """Side tasks of one worker; `on_failure` is called when one of them fails."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_failure: Callable[[], None]) -> None:
        self._loop = loop
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a component of the worker beside the claim loop."""
        task = self._loop.create_task(coroutine, name=f"offload-{getattr(coroutine, '__qualname__', 'component')}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    @property
    def failure(self) -> BaseException | None:
        """The exception of the first task that failed; None while none has."""
        return next((e for t in self._tasks if t.done() and not t.cancelled() and (e := t.exception())), None)

    async def cancel(self) -> None:
        """End all of them."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.remove_done_callback(self._ended)
        await cancel_all(tasks)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)
        else:
            log.error("worker_component_failed", component=task.get_name(), error=repr(task.exception()))
            self._on_failure()
