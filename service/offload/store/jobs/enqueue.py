"""Enqueueing: new jobs, and the batches in which concurrent callers of one process share a round trip."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offload.domain.errors import IdempotencyKeyInUse, Unavailable, Unconfirmed
from offload.domain.idempotency import Mark
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient
from offload.store.jobs.codec import Codec
from offload.store.jobs.durability import Confirm, Confirming

_BATCH = 500


@dataclass(slots=True)
class NewJob:
    """A job about to be stored: `due_ms` of 0 means now by Redis' clock; `fields` go into its record.

    With a `mark` it is stored only while the mark holds. Not frozen: one is made for each job.
    """

    id: str
    queue: str
    due_ms: int
    payload: bytes
    fields: Mapping[str, str | int | bytes]
    mark: Mark | None = None

    def argv(self) -> list[scripts.Arg]:
        """Return the job as arguments of enqueue.lua."""
        flat: list[scripts.Arg] = [part for pair in self.fields.items() for part in pair]
        job = [self.id, self.queue, self.due_ms, self.payload, len(flat), *flat]
        return job if self.mark is None else [*_marked(self.mark, 1), *job]


Stored = bool | str
"""True for a new job, False if its id exists, or the id of the job that has its unique key."""


def _marked(mark: Mark, jobs: int) -> list[scripts.Arg]:
    return ["", mark.key, mark.value, jobs]


_Waiting = tuple[NewJob, "asyncio.Future[tuple[int, Stored]]"]


class JobStore:
    """Stores jobs; callers at the same moment in one process share a round trip, and the wait for its confirmation."""

    def __init__(self, redis: RedisClient, codec: Codec, confirm: Confirm = Confirm()) -> None:  # noqa: B008 - a value
        self.redis = redis
        self.codec = codec
        self.confirm = confirm
        self._confirming = Confirming(redis, confirm)
        self._waiting: list[_Waiting] = []
        self._was_alone = False  # whether the last caller shared its batch with no other
        self._flushing: set[asyncio.Task[None]] = set()

    async def enqueue(self, job: NewJob) -> tuple[int, Stored]:
        """Store one job; return the time (ms, Redis' clock) and the outcome.

        Raises IdempotencyKeyInUse if its mark no longer holds, Unavailable, and Unconfirmed where it is stored but
        not confirmed in time.
        """
        if self._was_alone and not self._flushing:
            return await self._enqueue_alone(job)
        stored: asyncio.Future[tuple[int, Stored]] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, stored))
        if len(self._flushing) < self.confirm.at_once:
            self._flushing.add(asyncio.create_task(self._flush(), name="offload-enqueue"))
        return await stored

    async def enqueue_many(self, jobs: Sequence[NewJob], mark: Mark | None = None) -> tuple[int, list[Stored]]:
        """Store many jobs in one step, all or none; return time and outcomes. Raises as `enqueue` does."""
        argv = [part for job in jobs for part in job.argv()]
        if mark is not None:
            argv = [*_marked(mark, len(jobs)), *argv]
        now_ms, *answers = await self._confirming.enqueue([job.id for job in jobs], argv)
        if mark is not None and answers.pop(0) == 0:
            raise IdempotencyKeyInUse
        return now_ms, [_stored(answer) for answer in answers]

    async def confirm_again(self, ids: Sequence[str]) -> None:
        """Return when jobs that were stored before are confirmed as asked; raises Unavailable, Unconfirmed."""
        await self._confirming.again(ids)

    async def _enqueue_alone(self, job: NewJob) -> tuple[int, Stored]:
        """Store one job without a task for it: a task is half of the waiting time of a single caller."""
        self._was_alone = False  # whoever comes meanwhile shares a batch with others
        now_ms, [answer] = await self._enqueue_all([job])
        self._was_alone = not self._flushing
        if answer is None:
            raise IdempotencyKeyInUse
        return now_ms, answer

    async def _enqueue_all(self, jobs: Sequence[NewJob]) -> tuple[int, list[Stored | None]]:
        """Store the jobs of callers that wait; None for a job with a mark that no longer holds."""
        argv = [part for job in jobs for part in job.argv()]
        now_ms, *answers = await self._confirming.enqueue([job.id for job in jobs], argv)
        if len(answers) == len(jobs):
            return now_ms, [_stored(answer) for answer in answers]
        each = iter(answers)
        stood = [(job.mark is None or next(each) == 1, next(each)) for job in jobs]
        return now_ms, [_stored(answer) if stands else None for stands, answer in stood]

    async def _flush(self) -> None:
        stored_here = 0
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                stored_here += len(batch)
                try:
                    now_ms, answers = await self._enqueue_all([job for job, _ in batch])
                except Exception as error:  # noqa: BLE001 - handed to every caller that waits
                    _refuse(batch, error)
                else:
                    for (_, stored), answer in zip(batch, answers, strict=True):
                        if stored.done():
                            continue
                        if answer is None:
                            stored.set_exception(IdempotencyKeyInUse())
                        else:
                            stored.set_result((now_ms, answer))
                if self._waiting:
                    await asyncio.sleep(
                        0
                    )  # callers that were just answered may enqueue again, and share the next batch
        finally:
            if (task := asyncio.current_task()) is not None:
                self._flushing.discard(task)
            self._was_alone = stored_here == 1 and not self._flushing
            if not self._flushing:
                left, self._waiting = self._waiting, []
                _refuse(left, Unavailable("the process stopped before the job was stored"))


def _stored(answer: int | bytes) -> Stored:
    return answer == 1 if isinstance(answer, int) else answer.decode()


def _refuse(batch: Sequence[_Waiting], error: Exception) -> None:
    """Answer each waiting caller; if the jobs are stored but not confirmed, with an error that names its own."""
    for job, stored in batch:
        if not stored.done():
            stored.set_exception(Unconfirmed([job.id], error.why) if isinstance(error, Unconfirmed) else error)
