"""Putting jobs in, and what a person does to one from outside: abort, replay."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.domain.errors import Conflict, NotFound, Unavailable, Unconfirmed
from service.store import keys, scripts
from service.store.codec import Codec, Undecodable
from service.store.confirming import Confirm, Confirming
from service.store.connection import RedisClient, reaching_redis

_BATCH = 500


@dataclass(slots=True)
class NewJob:
    """A job about to be stored: `due_ms` of 0 means now by Redis' clock; `fields` go into its record.

    Nothing changes one; not frozen, since one is made for each job.
    """

    id: str
    queue: str
    due_ms: int
    payload: bytes
    fields: Mapping[str, str | int | bytes]

    def argv(self) -> list[scripts.Arg]:
        """Return the job as arguments of enqueue.lua."""
        flat: list[scripts.Arg] = [part for pair in self.fields.items() for part in pair]
        return [self.id, self.queue, self.due_ms, self.payload, len(flat), *flat]


@dataclass(frozen=True, slots=True)
class Kept:
    """How long things are kept, in ms: a result by default, a record beyond its result, a dead job."""

    result_ms: int = 3_600_000
    record_ms: int = 3_600_000
    dead_ms: int = 30 * 86_400_000


_Waiting = tuple[NewJob, "asyncio.Future[tuple[int, bool]]"]


class JobStore:
    """Stores jobs; callers at the same moment in one process share a round trip, and the wait for its confirmation."""

    def __init__(self, redis: RedisClient, codec: Codec, confirm: Confirm = Confirm()) -> None:  # noqa: B008 - a value
        self.redis = redis
        self.codec = codec
        self.confirm = confirm
        self._confirming = Confirming(redis, confirm)
        self._waiting: list[_Waiting] = []
        self._flushing: set[asyncio.Task[None]] = set()

    async def put(self, job: NewJob) -> tuple[int, bool]:
        """Store one job; return when (ms, Redis' clock) and whether it is new (False: the id exists).

        Raises Unavailable, and Unconfirmed where it is stored but that was not confirmed as asked.
        """
        stored: asyncio.Future[tuple[int, bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, stored))
        if len(self._flushing) < self.confirm.at_once:
            self._flushing.add(asyncio.create_task(self._flush(), name="offload-enqueue"))
        return await stored

    async def put_many(self, jobs: Sequence[NewJob]) -> tuple[int, list[bool]]:
        """Store many jobs in one step, all or none; return when, and which of them are new. Raises as `put` does."""
        argv = [part for job in jobs for part in job.argv()]
        now_ms, *created = await self._confirming.enqueue([job.id for job in jobs], argv)
        return now_ms, [flag == 1 for flag in created]

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                try:
                    now_ms, created = await self.put_many([job for job, _ in batch])
                except Exception as error:  # noqa: BLE001 - handed to every caller that waits
                    _refuse(batch, error)
                else:
                    for (_, stored), is_new in zip(batch, created, strict=True):
                        if not stored.done():
                            stored.set_result((now_ms, is_new))
        finally:
            if (task := asyncio.current_task()) is not None:
                self._flushing.discard(task)
            if not self._flushing:
                left, self._waiting = self._waiting, []
                _refuse(left, Unavailable("the process stopped before the job was stored"))

    async def abort(self, job_id: str, kept: Kept, now_ms: int) -> str:
        """Ask for a job to be stopped; return `aborted`, `aborting`, or the terminal status it already has.

        Raises NotFound for an id that no queue knows; nothing is left behind for it.
        """
        with reaching_redis():
            pipe = self.redis.pipeline(transaction=False)
            pipe.get(keys.ARQ_JOB + job_id)
            pipe.smembers(keys.QUEUES)
            pipe.hget(keys.RECORD + job_id, "queue")
            data, names, queue = await pipe.execute()
        try:
            payload = self.codec.decode_job(data) if data else None
        except Undecodable:
            payload = None
        queue_key = keys.queue_key(queue.decode() if queue else "default")
        result = self.codec.encode_aborted(job_id, queue_key, payload, now_ms)
        queues = {"default", *(name.decode() for name in names)}
        keep = (kept.result_ms, kept.dead_ms)
        said = (await scripts.run(self.redis, "abort", 0, job_id, result, *keep, *queues)).decode()
        if said == "unknown":
            raise NotFound("job", job_id)
        return str(said)

    async def replay(self, job_id: str) -> None:
        """Put a dead or aborted job back, or make a deferred or retrying one due now; raises NotFound, Conflict."""
        said = (await scripts.run(self.redis, "replay", 0, job_id)).decode()
        if said == "unknown":
            raise NotFound("job", job_id)
        if said == "expired":
            msg = f"job {job_id} cannot be retried: its arguments are no longer kept"
            raise Conflict(msg)
        if said != "queued":
            msg = f"job {job_id} is {said}; only a dead, aborted, deferred or retrying job can be retried"
            raise Conflict(msg)


def _refuse(batch: Sequence[_Waiting], error: Exception) -> None:
    """Tell each caller that waits; where the jobs are stored but not confirmed, each about its own."""
    for job, stored in batch:
        if not stored.done():
            stored.set_exception(Unconfirmed([job.id], error.why) if isinstance(error, Unconfirmed) else error)
