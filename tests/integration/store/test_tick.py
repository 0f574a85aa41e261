"""tick.lua: one firing of a schedule, exactly once over any number of callers."""

import asyncio

from offload.store import keys
from offload.store.fleet import schedules
from support.clockwork import SECOND, START

MINUTE = 60 * SECOND


async def tick(store, at, following, job_id=None):
    fired, following, paused, now = await store.run(
        "tick", "daily", at, following, job_id or f"daily:{at}", "mail", b"payload", "function", "t.f"
    )
    assert now == store.now
    return fired == 1, following, paused == 1


async def test_a_schedule_not_seen_before_is_only_noted(store):
    """Its first tick is the one to come, not one that was before it existed."""
    assert await tick(store, START - MINUTE, START) == (False, START - MINUTE, False)
    assert await store.listed() == set()
    assert await store.redis.smembers(keys.SCHEDULES) == {b"daily"}


async def test_a_tick_puts_one_job_in(store):
    """At its time, for the next one to come, and a worker is woken."""
    await store.claim("w1", queues=["mail"])
    await tick(store, START, START + MINUTE)
    fired = await tick(store, START, START + MINUTE)

    assert fired == (True, START + MINUTE, False)
    assert await store.inbox("w1") == ["wake"]
    assert (await store.claim(queues=["mail"])).ids == [f"daily:{START}"]
    assert await schedules.state(store.redis, "daily") == schedules.ScheduleState(
        START + MINUTE, START, f"daily:{START}", paused=False
    )


async def test_a_tick_does_not_fire_before_its_time(store):
    """A worker whose clock is ahead is told when the tick is."""
    await tick(store, START + 1, START + MINUTE)

    assert await tick(store, START + 1, START + MINUTE) == (False, START + 1, False)


async def test_a_tick_fires_once_over_all_callers(store):
    """Twenty workers bring the same tick at once: one fires it, all learn the next."""
    await tick(store, START, START + MINUTE)
    answers = await asyncio.gather(*(tick(store, START, START + MINUTE) for _ in range(20)))

    assert sum(fired for fired, _, _ in answers) == 1
    assert {following for _, following, _ in answers} == {START + MINUTE}
    assert len(await store.listed()) == 1


async def test_missed_ticks_are_made_up_for_once(store):
    """After an hour without workers the tick that was due fires, and the next is one to come."""
    await tick(store, START, START + MINUTE)
    store.now += 60 * MINUTE
    fired = await tick(store, START, store.now + MINUTE)
    again = await tick(store, START + MINUTE, store.now + MINUTE)

    assert (fired, again) == ((True, store.now + MINUTE, False), (False, store.now + MINUTE, False))
    assert len(await store.listed()) == 1


async def test_a_paused_schedule_passes_its_ticks_by(store):
    """Nothing fires, time goes on, and after the pause the next tick fires, none before it."""
    await tick(store, START, START + MINUTE)
    await store.redis.hset(keys.SCHEDULE + "daily", "paused", "1")
    paused = await tick(store, START, START + MINUTE)
    await store.redis.hset(keys.SCHEDULE + "daily", "paused", "0")
    store.now += MINUTE

    assert paused == (False, START + MINUTE, True)
    assert await store.listed() == set()
    assert await tick(store, START + MINUTE, START + 2 * MINUTE) == (True, START + 2 * MINUTE, False)


async def test_a_tick_whose_job_exists_is_not_doubled(store):
    """The job's id is the tick's: should the schedule's state be lost, the job still is one."""
    await store.enqueue(f"daily:{START}", queue="mail")
    await tick(store, START, START + MINUTE)
    fired, _, _ = await tick(store, START, START + MINUTE)

    assert not fired
    assert await store.listed() == {f"daily:{START}"}
