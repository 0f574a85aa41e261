"""Work of the API after its answer: the audit entry, and nothing heavier than a round trip.

A thin wrapper over FastAPI's `BackgroundTasks`, which run in this process after the last byte of the answer. No caller
can learn of a failure here, so it is logged and counted; work that must not be lost is a job, see
docs/where-should-this-run.md.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import structlog
from fastapi import BackgroundTasks, Depends, Request

from offload.api.middleware.scopes import caller
from offload.api.state import State, state_of
from offload.domain.errors import Unavailable

log = structlog.get_logger(__name__)

LIMIT_S = 5.0
"""Time limit of one task: the next request on the connection waits for it."""


class BackgroundWork:
    """Collects work for after the answer. None is done if the request fails; its failure does not fail a request."""

    def __init__(self, request: Request, tasks: BackgroundTasks) -> None:
        self._request = request
        self._tasks = tasks

    @property
    def who(self) -> str:
        """The name of the caller's key; `anonymous` if the API requires none."""
        return caller(self._request).name

    def add(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run a task after the answer, for at most 5 s; `name` is for the log and `/metrics`."""
        self._tasks.add_task(_run_task, state_of(self._request), name, work)

    def audit(self, action: str, target: str, count: int = 1, **detail: object) -> None:
        """Record that the caller did an action (`job.abort`, `queue.pause` …) on a target, or on `count` at once."""
        operations = state_of(self._request).operations
        self.add("audit", partial(operations.audit, self.who, action, target, count, **detail))


async def _run_task(state: State, name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Run a task; raises nothing but CancelledError."""
    try:
        async with asyncio.timeout(LIMIT_S):
            await work()
    except Exception as error:
        is_expected = isinstance(error, Unavailable | TimeoutError)
        log.warning("background_task_failed", task=name, error=repr(error), exc_info=not is_expected)
        state.metrics.background_failed(name)


async def _background_work(request: Request, tasks: BackgroundTasks) -> BackgroundWork:
    return BackgroundWork(request, tasks)


BackgroundTask = Annotated[BackgroundWork, Depends(_background_work)]
