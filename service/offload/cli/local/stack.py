"""Redis, API and workers as processes on one machine, for `offload up` and `offload demo`.

They start together and stop in order: first the workers, which requeue their running jobs, then the API, Redis last.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

import httpx

from offload import wiring
from offload.cli import listening
from offload.cli.commands.serve import LONGEST_DRAIN
from offload.cli.local.child import Child, Command, OutputListener
from offload.cli.local.race import first_of
from offload.cli.local.restarter import Restarter
from offload.domain.catalogue import Catalogue
from offload.domain.clock import now_ms
from offload.domain.errors import OffloadError, Unavailable
from offload.lifeline import Lifeline
from offload.settings import Settings, child_environment
from offload.store.embedded.server import EmbeddedRedis

_LOOK_AGAIN = 0.05
_WORKER_MARGIN = 10.0  # For a worker to write how its jobs ended, after its grace.


class Refused(OffloadError):
    """A process of the stack cannot start; it has printed the reason."""


@dataclass(frozen=True)
class Plan:
    """The processes to start. `changes` are the children's settings that differ from ours, by name."""

    settings: Settings
    workers: int = 1
    changes: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    waits_for_change: bool = False

    def commands(self, listener: socket, line: Lifeline, redis_url: str) -> tuple[Command, list[Command]]:
        """Return the command of the API and those of the workers."""
        changes = {**self.changes, "redis_url": redis_url}
        env = {**child_environment(changes), **self.environment, "PYTHONUNBUFFERED": "1", **line.env}
        fds = line.pass_fds
        names = ["worker"] if self.workers == 1 else [f"worker-{n}" for n in range(1, self.workers + 1)]
        api = Command("api", ["api", "--fd", str(listener.fileno())], env, (*fds, listener.fileno()), self.cwd)
        return api, [Command(name, ["worker"], env, fds, self.cwd) for name in names]


class Stack:
    """The running processes."""

    def __init__(self, plan: Plan, url: str, redis_url: str, api: Restarter, workers: Sequence[Restarter]) -> None:
        self.url = url
        self.redis_url = redis_url
        self._plan = plan
        self._api = api
        self._workers = tuple(workers)
        self._started_ms = now_ms()

    @property
    def restarters(self) -> tuple[Restarter, ...]:
        """The restarters of all processes."""
        return (self._api, *self._workers)

    async def ready(self) -> None:
        """Return once the API answers and every worker has sent a heartbeat; raises Refused if one cannot start."""
        if await first_of(self._wait_until_ready(), self.refused()) != 0:
            raise Refused("a process of the stack cannot start")
        for restarter in self.restarters:
            restarter.note_ready()

    async def functions(self) -> list[dict[str, Any]]:
        """Return the loaded job functions as the API describes them; none if it asks for a key."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False) as http:
            with contextlib.suppress(httpx.TransportError):
                answer = await http.get("/v1/functions")
                if answer.is_success:
                    functions: list[dict[str, Any]] = answer.json()["items"]
                    return functions
        return []

    async def refused(self) -> None:
        """Return when one of the processes has reported that it cannot start."""
        await first_of(*(restarter.refused.wait() for restarter in self.restarters))

    def start_over(self) -> None:
        """Restart every process; await `ready` again afterwards."""
        self._started_ms = now_ms()
        for restarter in self.restarters:
            restarter.start_over()

    def hurry(self) -> None:
        """Cut short the time that processes have to stop."""
        for restarter in self.restarters:
            restarter.hurry()

    async def stop(self) -> None:
        """Stop the workers, then the API."""
        settings = self._plan.settings
        grace = settings.shutdown_grace + settings.abort_grace + _WORKER_MARGIN
        await asyncio.gather(*(restarter.stop(grace) for restarter in self._workers))
        await self._api.stop(LONGEST_DRAIN + 5)

    async def _wait_until_ready(self) -> None:
        await asyncio.gather(*(restarter.wait_started() for restarter in self.restarters))
        await asyncio.gather(self._wait_for_api(), self._wait_for_heartbeats())

    async def _wait_for_api(self) -> None:
        """Poll until the API is ready. The port is open already, so the first answer comes when the API has started."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False) as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get("/readyz")).is_success:
                        return
                await asyncio.sleep(_LOOK_AGAIN)

    async def _wait_for_heartbeats(self) -> None:
        settings = self._plan.settings.model_copy(update={"redis_url": self.redis_url})
        async with wiring.connect(settings, Catalogue(), must_answer=False) as offload:
            while True:
                with contextlib.suppress(Unavailable):
                    beats = [about.get("beat", 0) for about in await offload.inspector.workers()]
                    started_ms = await offload.inspector.clock_ms() - (now_ms() - self._started_ms)
                    if sum(beat >= started_ms for beat in beats) >= len(self._workers):
                        return
                await asyncio.sleep(_LOOK_AGAIN)


@asynccontextmanager
async def running(plan: Plan, listener: socket, redis_url: str, output: OutputListener) -> AsyncIterator[Stack]:
    """Run API and workers on a running Redis during the block."""
    with Lifeline.create() as line:
        api, workers = plan.commands(listener, line, redis_url)
        restarters = [Restarter(Child(one, output), waits_for_change=plan.waits_for_change) for one in (api, *workers)]
        stack = Stack(plan, listening.url_of(listener), redis_url, restarters[0], restarters[1:])
        running_restarters = asyncio.gather(*(restarter.run() for restarter in restarters))
        try:
            yield stack
        finally:
            await stack.stop()
            await running_restarters


@asynccontextmanager
async def embedded_redis(settings: Settings) -> AsyncIterator[EmbeddedRedis]:
    """Run an embedded Redis on the data directory during the block; raises Unavailable."""
    redis = await asyncio.to_thread(EmbeddedRedis.start, settings.data_dir, server=settings.redis_server)
    try:
        yield redis
    finally:
        await asyncio.shield(asyncio.to_thread(redis.stop))


async def wait_until_gone(redis: EmbeddedRedis) -> None:
    """Return when the embedded Redis has died."""
    while redis.is_running:  # noqa: ASYNC110 - a process, which sets no event
        await asyncio.sleep(0.2)
