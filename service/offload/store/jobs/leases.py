"""The right to run a job: claim it, renew it, finish it. Each is one script."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from offload.domain.errors import Unavailable
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis

_WAITING_MS = 86_400_000


@dataclass(slots=True)
class Claimed:
    """A job that this worker may run: `attempt` counts this run, `payload` is None when it has expired.

    `lost_worker` names the worker that held the attempt before and never ended it; `options` is JSON or empty.
    Nothing changes one, though it is not frozen: a frozen one takes three times as long to make, for each job.
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
    """What one claim brought: jobs, when the next falls due (None: none known), whether due ones had to be left."""

    jobs: tuple[Claimed, ...]
    now_ms: int
    next_due_ms: int | None
    has_left: bool
    to_abort: tuple[str, ...]


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
    keep_ms: int = 0
    kept_ms: int = 0
    due_ms: int = 0
    failed_attempt: bytes = b""
    fields: tuple[tuple[str, str | int | float], ...] = ()
    fingerprint: str = ""
    loop: str = ""

    @property
    def is_terminal(self) -> bool:
        """Whether the job does not run again by itself."""
        return self.verb not in ("retry", "requeued")

    def argv(self) -> list[scripts.Arg]:
        """Return the ending as arguments of finish.lua."""
        flat = json.dumps([str(part) for pair in self.fields for part in pair]) if self.fields else "[]"
        ending: list[scripts.Arg] = [self.id, self.token, self.verb, self.result, self.keep_ms, self.kept_ms]
        return [*ending, self.due_ms, self.failed_attempt, self.function, flat, self.fingerprint, self.loop]


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
        redis, "claim", 0, worker, sequence, lease_ms, slots, timeout_ms, grace_ms, *flat
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
    """Return what Redis says this worker runs: the token of each job by its id."""
    with reaching_redis():
        ids = [i.decode() for i in await redis.zrange(keys.RUNNING + worker, 0, -1)]
        tokens = await redis.mget([keys.ARQ_IN_PROGRESS + i for i in ids]) if ids else []
    return {i: token.decode() for i, token in zip(ids, tokens, strict=True) if token}


async def count_from(redis: RedisClient, job_id: str, attempt: int) -> None:
    """Count attempts of a job on from this one (arq's `_job_try`)."""
    with reaching_redis():
        await redis.set(keys.ARQ_RETRY + job_id, attempt)


async def keep_waiting(redis: RedisClient, job: Claimed, place: Literal["thread", "process"]) -> None:
    """Say that a job waits in its worker for a thread or process, and let its lease be renewed for up to a day.

    While Redis is away neither is done.
    """
    worker = job.token.rpartition(":")[0]
    with contextlib.suppress(Unavailable):
        await scripts.run(redis, "wait", 0, worker, job.id, job.token, place, job.claimed_ms + _WAITING_MS)


async def hold(redis: RedisClient, job_id: str, seconds: float) -> None:
    """Keep an ended job's id taken, so that a late stock worker runs no tick of arq's cron twice."""
    with reaching_redis():
        await redis.set(keys.ARQ_IN_PROGRESS + job_id, b"1", px=round(seconds * 1000), nx=True)


async def renew(redis: RedisClient, worker: str, lease_ms: int) -> tuple[list[str], list[str]]:
    """Extend the leases a worker still holds; return the ids that were lost, and those past their deadline."""
    lost, overdue, _ = await scripts.run(redis, "renew", 0, worker, lease_ms)
    return [i.decode() for i in lost], [i.decode() for i in overdue]


async def finish(redis: RedisClient, worker: str, endings: Sequence[AttemptEnd]) -> list[bool]:
    """Write how attempts ended; False where this worker no longer held the job and nothing was written."""
    argv = [part for ending in endings for part in ending.argv()]
    return [flag == 1 for flag in await scripts.run(redis, "finish", 0, worker, *argv)]


async def note(redis: RedisClient, lines: int, notes: Sequence[tuple[str, str, str, bytes]]) -> None:
    """Write progress and log lines of running jobs: `(id, token, 'progress', 'log' or 'begun', JSON)` each."""
    await scripts.run(redis, "note", 0, lines, *(part for one in notes for part in one))
