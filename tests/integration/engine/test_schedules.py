"""Schedules: every worker knows them, and each tick is one job."""

import contextlib
from itertools import pairwise

import pytest

from offload import JobContext, Schedule, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.clock import now_ms
from offload.store import keys
from offload.store.fleet import schedules


@job(name="t.tick")
async def tick(ctx: JobContext, word: str = "tick") -> str:
    return word


def of(*plans):
    return Catalogue(of_functions([tick]), {}, {plan.name: plan for plan in plans})


@contextlib.asynccontextmanager
async def listening(b):
    """Give a call that returns the ids of the jobs that succeeded next; begin before the workers do."""
    async with b.inspector._feed.listen() as reader:

        async def succeeded(count):
            ids = []
            while len(ids) < count:
                event = await reader.next(20)
                assert event is not None
                if event.name == "succeeded":
                    ids.append(event.job_id)
            return ids

        yield succeeded


async def test_two_workers_tick_each_tick_once(bench):
    """The job of a tick is named by it, so that a doubled one would be seen."""
    plan = Schedule("often", "t.tick", every=0.2, args={"word": "tock"})
    async with bench(catalogue=of(plan)) as b, listening(b) as succeeded, b.worker(), b.worker():
        ids = await succeeded(4)
        record = await b.inspector.get(ids[0])
    times = [int(one.partition(":")[2]) for one in ids]

    assert record.result == b'"tock"'
    assert [later - earlier for earlier, later in pairwise(times)] == [200] * 3


async def test_a_tick_is_on_time(bench):
    """The job is due when the tick is, and starts then."""
    async with (
        bench(catalogue=of(Schedule("often", "t.tick", every=0.5))) as b,
        listening(b) as succeeded,
        b.worker(poll_delay=30),
    ):
        [job_id] = await succeeded(1)
        record = await b.inspector.get(job_id)

    assert record.started_ms >= int(job_id.partition(":")[2])


async def test_a_tick_that_was_missed_is_made_up_for_once(bench, redis):
    """While no worker was there a minute of ticks went by: one of them is run."""
    missed = now_ms() // 1000 * 1000 - 60_000
    await redis.hset(keys.SCHEDULE + "often", "next", missed)
    async with bench(catalogue=of(Schedule("often", "t.tick", every=1))) as b, listening(b) as succeeded, b.worker():
        first, second = await succeeded(2)

    assert first == f"often:{missed}"
    assert int(second.partition(":")[2]) >= missed + 60_000


@pytest.mark.parametrize("stored", ["earlier", "later"])
async def test_a_changed_plan_takes_over(bench, redis, stored):
    """What an older version of the plan noted is dropped, and the new plan ticks; nothing spins."""
    wrong = now_ms() + (-7777 if stored == "earlier" else 3_600_001)
    await redis.hset(keys.SCHEDULE + "often", "next", wrong)
    async with bench(catalogue=of(Schedule("often", "t.tick", every=0.5))) as b, listening(b) as succeeded, b.worker():
        await redis.config_resetstat()
        ids = await succeeded(2)
        calls = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]

    assert int(ids[-1].partition(":")[2]) % 500 == 0
    assert calls < 60


async def test_a_paused_schedule_does_not_tick(bench, redis):
    """Another one does meanwhile."""
    await redis.hset(keys.SCHEDULE + "paused", "paused", "1")
    plans = Schedule("paused", "t.tick", every=0.1), Schedule("often", "t.tick", every=0.2)
    async with bench(catalogue=of(*plans)) as b, listening(b) as succeeded, b.worker():
        ids = await succeeded(3)
        state = await schedules.state(redis, "paused")

    assert {one.partition(":")[0] for one in ids} == {"often"}
    assert (state.paused, state.last_ms) == (True, None)
