"""What the API does when it has answered: the audit line. Light work of its own that takes a round trip, nothing else.

A thin wrapper over FastAPI's `BackgroundTasks`, which run in this process after the last byte of the answer. What fails
here can be told to nobody, so it is logged and counted; what must not be lost is a job, see
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
"""So long one piece of work may take: the next request on the connection waits for it."""


class BackgroundWork:
    """Takes work for after the answer. A request that fails does none of it; nothing of it fails a request."""

    def __init__(self, request: Request, tasks: BackgroundTasks) -> None:
        self._request = request
        self._tasks = tasks

    @property
    def who(self) -> str:
        """The name of the caller's key; `anonymous` where the API asks for none."""
        return caller(self._request).name

    def add(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do a piece of work when the answer is out, in 5 s or not at all; `name` is for the log and `/metrics`."""
        self._tasks.add_task(_done, state_of(self._request), name, work)

    def audit(self, action: str, target: str, count: int = 1, **detail: object) -> None:
        """Note that the caller did something (`job.abort`, `queue.pause` …) to a target, or to `count` at once."""
        operations = state_of(self._request).operations
        self.add("audit", partial(operations.audit, self.who, action, target, count, **detail))


async def _done(state: State, name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do a piece of work; never raises but CancelledError."""
    try:
        async with asyncio.timeout(LIMIT_S):
            await work()
    except Exception as error:
        is_foreseen = isinstance(error, Unavailable | TimeoutError)
        log.warning("afterwards_failed", task=name, error=repr(error), exc_info=not is_foreseen)
        state.metrics.background_failed(name)


async def _after(request: Request, tasks: BackgroundTasks) -> BackgroundWork:
    return BackgroundWork(request, tasks)


BackgroundTask = Annotated[BackgroundWork, Depends(_after)]
