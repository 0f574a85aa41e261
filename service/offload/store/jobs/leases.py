"""The right to run a job: claim it, renew it, finish it. Each is one script."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

from offload.domain.errors import Unavailable
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis

_WAITING_MS = 86_400_000


@dataclass(slots=True)
class Claimed:
    """A job that this worker may run: `attempt` counts this run, `payload` is None when it has expired.

    `lost_worker` names the worker that held the attempt before and never ended it; `options` is JSON or empty.
    Nothing changes it. It is not frozen: a frozen one takes three times as long to make, for each job.
    """

    id: str
    queue: str
    attempt: int
    payload: bytes | None
    enqueued_ms: int
    due_ms: int
    options: bytes
    function: str
    lost_worker: str | None
    is_aborted: bool
    token: str
    claimed_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to one claim: jobs, the next due time (None: none known), and whether due jobs had to be left."""

    jobs: tuple[Claimed, ...]
    now_ms: int
    next_due_ms: int | None
    has_left: bool
    to_abort: tuple[str, ...]


class LoopUsage(NamedTuple):
    """The use that one attempt made of the event loop, as JSON for its record, and its steps over the loop budget.

    The JSON is short on purpose: a field of more than 64 bytes makes Redis keep the whole record as a hash table
    (`hash-max-listpack-value`), at 10 % more of its CPU for a no-op job.
    """

    json: bytes = b""
    over_budget: int = 0

    @classmethod
    def of(cls, total_ns: int, steps: int, max_step_ns: int, over_budget: int) -> "LoopUsage":
        """Return the usage of these steps."""
        numbers = (total_ns // 1000, steps, max_step_ns // 1000, over_budget)
        return cls(b'{"us":%d,"steps":%d,"max_us":%d,"over":%d}' % numbers, over_budget)


NO_USAGE = LoopUsage()


@dataclass(slots=True)
class AttemptEnd:
    """How one attempt ended, ready to be written; `verb` is succeeded, dead, aborted, retry or requeued.

    Not frozen for the reason that `Claimed` is not.
    """

    id: str
    token: str
    verb: str
    function: str
    result: bytes = b""
    result_ttl_ms: int = 0
    record_ttl_ms: int = 0
    due_ms: int = 0
    failed_attempt: bytes = b""
    fields: tuple[tuple[str, str | int | float], ...] = ()
    fingerprint: str = ""
    loop: LoopUsage = NO_USAGE

    @property
    def is_terminal(self) -> bool:
        """True if the job does not run again by itself."""
        return self.verb not in ("retry", "requeued")

    def argv(self) -> list[scripts.Arg]:
        """Return the ending as arguments of finish.lua."""
        flat = orjson.dumps([str(part) for pair in self.fields for part in pair]) if self.fields else "[]"
        return [
            self.id, self.token, self.verb, self.result, self.result_ttl_ms, self.record_ttl_ms, self.due_ms,
            self.failed_attempt, self.function, flat, self.fingerprint, self.loop.json, self.loop.over_budget,
        ]  # fmt: skip


async def claim(
    redis: RedisClient,
    worker: str,
    sequence: int,
    *,
    lease_ms: int,
    slots: int,
    timeout_ms: int,
    grace_ms: int,
    queues: Sequence[tuple[str, int]],
) -> Claim:
    """Claim up to `slots` due jobs from `queues` (name, most jobs this worker can take of it), in their order."""
    flat = [part for pair in queues for part in pair]
    now_ms, next_due, left, jobs, aborts = await scripts.run(
        redis,
        "claim",
        *flat,
        worker=worker,
        sequence=sequence,
        lease_ms=lease_ms,
        slots=slots,
        timeout_ms=timeout_ms,
        grace_ms=grace_ms,
    )
    token = f"{worker}:{sequence}"
    claimed = tuple(
        Claimed(
            id=job[0].decode(),
            queue=job[1].decode(),
            attempt=job[2],
            payload=job[3],
            enqueued_ms=int(job[4]),
            due_ms=int(float(job[5])),
            options=job[6],
            function=job[7].decode(),
            lost_worker=job[8].decode() if job[8] else None,
            is_aborted=bool(job[9]),
            token=token,
            claimed_ms=now_ms,
        )
        for job in jobs
    )
    return Claim(claimed, now_ms, None if next_due < 0 else next_due, bool(left), tuple(a.decode() for a in aborts))


async def held(redis: RedisClient, worker: str) -> dict[str, str]:
    """Return the jobs that this worker runs by Redis' account: the token of each by its id."""
    with reaching_redis():
        ids = [i.decode() for i in await redis.zrange(keys.RUNNING + worker, 0, -1)]
        tokens = await redis.mget([keys.ARQ_IN_PROGRESS + i for i in ids]) if ids else []
    return {i: token.decode() for i, token in zip(ids, tokens, strict=True) if token}


async def count_from(redis: RedisClient, job_id: str, attempt: int) -> None:
    """Count attempts of a job on from this one (arq's `_job_try`)."""
    with reaching_redis():
        await redis.set(keys.ARQ_RETRY + job_id, attempt)


async def keep_waiting(redis: RedisClient, job: Claimed, place: Literal["thread", "process"]) -> None:
    """Record that a job waits in its worker for a thread or process, and let its lease be renewed for up to a day.

    Does neither while Redis is unavailable.
    """
    worker, until_ms = job.token.rpartition(":")[0], job.claimed_ms + _WAITING_MS
    with contextlib.suppress(Unavailable):
        await scripts.run(redis, "wait", worker=worker, job_id=job.id, token=job.token, place=place, until_ms=until_ms)


async def hold(redis: RedisClient, job_id: str, seconds: float) -> None:
    """Keep an ended job's id taken, so that a late stock worker runs no tick of arq's cron twice."""
    with reaching_redis():
        await redis.set(keys.ARQ_IN_PROGRESS + job_id, b"1", px=round(seconds * 1000), nx=True)


async def renew(redis: RedisClient, worker: str, lease_ms: int) -> tuple[list[str], list[str]]:
    """Extend the leases a worker still holds; return the ids that were lost, and those past their deadline."""
    lost, overdue, _ = await scripts.run(redis, "renew", worker=worker, lease_ms=lease_ms)
    return [i.decode() for i in lost], [i.decode() for i in overdue]


async def finish(redis: RedisClient, worker: str, endings: Sequence[AttemptEnd]) -> list[bool]:
    """Write how attempts ended; False if this worker no longer held the job and nothing was written."""
    argv = [part for ending in endings for part in ending.argv()]
    return [flag == 1 for flag in await scripts.run(redis, "finish", *argv, worker=worker)]


async def note(redis: RedisClient, lines: int, notes: Sequence[tuple[str, str, str, bytes]]) -> None:
    """Write progress and log lines of running jobs: `(id, token, 'progress', 'log' or 'begun', JSON)` each."""
    await scripts.run(redis, "note", *(part for one in notes for part in one), lines=lines)
