"""The state of schedules: the next tick of each, its pause; and firing one tick exactly once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.jobs.enqueue import NewJob


@dataclass(frozen=True, slots=True)
class Ticked:
    """The answer to one call: whether it fired the tick, the time of the next, whether it is paused, Redis' time."""

    fired: bool
    next_ms: int
    paused: bool
    now_ms: int


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """The next and the last tick of a schedule, in ms; `last_job` is the id of that tick's job."""

    next_ms: int | None
    last_ms: int | None
    last_job: str | None
    paused: bool


async def tick(redis: RedisClient, schedule: str, at_ms: int, following_ms: int, job: NewJob) -> Ticked:
    """Fire the tick of `at_ms` unless it was fired; if the stored plan differs, only return the plan."""
    fired, next_ms, paused, now_ms = await _tick(redis, schedule, at_ms, following_ms, job)
    return Ticked(fired == 1, next_ms, paused == 1, now_ms)


async def run(redis: RedisClient, schedule: str, job: NewJob) -> None:
    """Fire one tick now, paused or not, besides those of the plan."""
    await _tick(redis, schedule, 0, 0, job)


async def _tick(redis: RedisClient, schedule: str, at_ms: int, following_ms: int, job: NewJob) -> Sequence[int]:
    fields = [part for pair in job.fields.items() for part in pair]
    answer: Sequence[int] = await scripts.run(
        redis,
        "tick",
        *fields,
        schedule=schedule,
        at_ms=at_ms,
        following_ms=following_ms,
        job_id=job.id,
        queue=job.queue,
        payload=job.payload,
    )
    return answer


async def pause(redis: RedisClient, schedule: str, *, paused: bool) -> None:
    """Skip the ticks of a schedule, or fire again from the next on; earlier jobs are left alone."""
    with reaching_redis():
        pipe = redis.pipeline(transaction=True)
        pipe.sadd(keys.SCHEDULES, schedule)
        pipe.hset(keys.SCHEDULE + schedule, "paused", "1" if paused else "0")
        await pipe.execute()


async def states(redis: RedisClient, names: Sequence[str]) -> list[ScheduleState]:
    """Return the states of schedules, in one round trip; all None if no worker has seen one yet."""
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for name in names:
            pipe.hgetall(keys.SCHEDULE + name)
        return [_state(found) for found in await pipe.execute()]


async def state(redis: RedisClient, schedule: str) -> ScheduleState:
    """Return a schedule's state; all None if no worker has seen it yet."""
    with reaching_redis():
        found = await redis.hgetall(keys.SCHEDULE + schedule)
    return _state(found)


async def forget_next(redis: RedisClient, schedule: str) -> None:
    """Drop the planned tick, so that a changed plan takes effect."""
    with reaching_redis():
        await redis.hdel(keys.SCHEDULE + schedule, "next")


def _state(found: Mapping[bytes, bytes]) -> ScheduleState:
    return ScheduleState(
        next_ms=int(found[b"next"]) if b"next" in found else None,
        last_ms=int(found[b"last"]) if b"last" in found else None,
        last_job=found[b"last_job"].decode() if b"last_job" in found else None,
        paused=found.get(b"paused") == b"1",
    )
