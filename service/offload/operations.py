"""The operator's side: pause and resume, run a schedule now, move functions, clear stalls, write the audit."""

from offload.client import Client, Request
from offload.documents.functions import MovableTo
from offload.domain.catalogue import Catalogue
from offload.domain.errors import NotFound
from offload.domain.overrides import check_movable
from offload.domain.schedules import Schedule
from offload.store.connection.connection import RedisClient
from offload.store.fleet import audit, overrides, queues, schedules, stalls


class Operations:
    """Acts on queues, schedules and functions; `who` is the name of an API key, `anonymous`, or `cli:<user>`."""

    def __init__(self, redis: RedisClient, client: Client, catalogue: Catalogue) -> None:
        self._redis = redis
        self._client = client
        self._catalogue = catalogue

    async def pause_queue(self, name: str, who: str) -> bool:
        """Start no more jobs of a queue, over the whole fleet, until it is resumed; running jobs go on.

        Returns True if it was not paused before; else the record keeps the first pause. Raises NotFound.
        """
        await self._check_queue(name)
        return await queues.pause(self._redis, name, paused=True, who=who)

    async def resume_queue(self, name: str) -> bool:
        """Resume a queue at once; return True if it was paused. Raises NotFound."""
        await self._check_queue(name)
        return await queues.pause(self._redis, name, paused=False)

    async def move_function(self, name: str, runs_in: MovableTo | None, who: str) -> bool:
        """Run a `def` job function in a thread or a process from its next start on, over the whole fleet.

        This survives restarts, until None undoes it; running jobs go on. Returns True if something changed. Raises
        UnknownFunction, NotMovable.
        """
        function = self._catalogue.function(name)
        if runs_in is not None:
            check_movable(function, runs_in)
        return await overrides.set_override(self._redis, name, runs_in, who)

    async def run_schedule(self, name: str) -> str:
        """Fire a tick now, paused or not, besides those of the plan; return the id of its job. Raises NotFound."""
        plan = self._schedule(name)
        job = self._client.prepare(Request(plan.function, plan.args))
        await schedules.run(self._redis, name, job)
        return job.id

    async def pause_schedule(self, name: str) -> None:
        """Skip the ticks of a schedule until it is resumed; they are not made up. Raises NotFound."""
        await schedules.pause(self._redis, self._schedule(name).name, paused=True)

    async def resume_schedule(self, name: str) -> None:
        """Let a schedule fire again from its next tick on. Raises NotFound."""
        await schedules.pause(self._redis, self._schedule(name).name, paused=False)

    async def clear_stalls(self) -> int:
        """Forget the stalls that are listed, and their groups; return how many were listed."""
        return await stalls.clear(self._redis)

    async def audit(self, who: str, action: str, target: str, count: int = 1, **detail: object) -> None:
        """Write an entry of the audit: an action on a target, or on `count` things at once; no secrets in `detail`."""
        await audit.write(self._redis, who, action, target, count, detail)

    def _schedule(self, name: str) -> Schedule:
        if name not in self._catalogue.schedules:
            raise NotFound("schedule", name)
        return self._catalogue.schedules[name]

    async def _check_queue(self, name: str) -> None:
        if name not in self._catalogue.queue_names and name not in await queues.known(self._redis):
            raise NotFound("queue", name)
