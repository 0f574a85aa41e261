"""Redis, API and workers as processes of their own, on one machine: what `offload up` and `offload demo` start.

They start together and stop in order: the workers first, which put back what they run, then the API, Redis last.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

import httpx

from offload import wiring
from offload.cli import listening
from offload.cli.commands.serve import LONGEST_DRAIN
from offload.cli.local.child import Child, Command, Listener
from offload.cli.local.race import first_of
from offload.cli.local.restarter import Restarter
from offload.domain.catalogue import Catalogue
from offload.domain.clock import now_ms
from offload.domain.errors import OffloadError, Unavailable
from offload.lifeline import Lifeline
from offload.settings import Settings, child_environment
from offload.store.embedded.server import EmbeddedRedis

_LOOK_AGAIN = 0.05
_WORKER_MARGIN = 10.0  # What a worker needs after its grace to write how its jobs ended.


class Refused(OffloadError):
    """A process of the stack cannot work as things are; why, it has told its listener."""


@dataclass(frozen=True)
class Plan:
    """What to start. `changes` are settings of the children that differ from ours, by name; `cwd` is theirs."""

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
    def keepers(self) -> tuple[Restarter, ...]:
        """Who keeps the processes."""
        return (self._api, *self._workers)

    async def ready(self) -> None:
        """Return once the API answers and every worker has beaten; raises Refused where one of them cannot work."""
        if await first_of(self._is_ready(), self.refused()) != 0:
            raise Refused("a process of the stack cannot start")
        for keeper in self.keepers:
            keeper.is_ready()

    async def refused(self) -> None:
        """Return when one of the processes has said that it cannot work."""
        await first_of(*(keeper.refused.wait() for keeper in self.keepers))

    def start_over(self) -> None:
        """Stop every process and start it anew; await `ready` once more afterwards."""
        self._started_ms = now_ms()
        for keeper in self.keepers:
            keeper.start_over()

    def hurry(self) -> None:
        """Give nobody any more time to stop."""
        for keeper in self.keepers:
            keeper.hurry()

    async def stop(self) -> None:
        """Stop the workers, then the API."""
        settings = self._plan.settings
        grace = settings.shutdown_grace + settings.abort_grace + _WORKER_MARGIN
        await asyncio.gather(*(keeper.stop(grace) for keeper in self._workers))
        await self._api.stop(LONGEST_DRAIN + 5)

    async def _is_ready(self) -> None:
        await asyncio.gather(*(keeper.is_started() for keeper in self.keepers))
        await asyncio.gather(self._api_answers(), self._workers_beat())

    async def _api_answers(self) -> None:
        """Ask until the answer is yes. The port is open already, so the first answer comes when the API is there."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False) as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get("/readyz")).is_success:
                        return
                await asyncio.sleep(_LOOK_AGAIN)

    async def _workers_beat(self) -> None:
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
async def running(plan: Plan, listener: socket, redis_url: str, hears: Listener) -> AsyncIterator[Stack]:
    """Start API and workers on a Redis that is there, keep them running during the block, and stop them after it."""
    with Lifeline.create() as line:
        api, workers = plan.commands(listener, line, redis_url)
        keepers = [Restarter(Child(one, hears), waits_for_change=plan.waits_for_change) for one in (api, *workers)]
        stack = Stack(plan, listening.url_of(listener), redis_url, keepers[0], keepers[1:])
        kept = asyncio.gather(*(keeper.run() for keeper in keepers))
        try:
            yield stack
        finally:
            await stack.stop()
            await kept


@asynccontextmanager
async def embedded_redis(settings: Settings) -> AsyncIterator[EmbeddedRedis]:
    """Run an embedded Redis on the data directory during the block; raises Unavailable."""
    redis = await asyncio.to_thread(EmbeddedRedis.start, settings.data_dir, server=settings.redis_server)
    try:
        yield redis
    finally:
        await asyncio.shield(asyncio.to_thread(redis.stop))


async def gone(redis: EmbeddedRedis) -> None:
    """Return when the embedded Redis has ended by itself."""
    while redis.is_running:  # noqa: ASYNC110 - it is a process, and no event of ours
        await asyncio.sleep(0.2)
