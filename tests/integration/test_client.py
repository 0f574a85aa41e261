"""Putting many jobs in by one call."""

import pytest

from offload import JobContext, job
from offload.client import Request
from offload.domain.errors import InvalidArguments, Unavailable
from offload.store import keys


@job(name="t.count")
async def count(ctx: JobContext, n: int) -> int:
    """Give a number back."""
    return n


async def test_more_jobs_than_fit_in_one_step_are_all_stored_in_order(bench):
    """Each has an id of its own, and its place in the answer is that of its request."""
    async with bench(count) as b:
        stored = await b.client.enqueue_many([Request("t.count", {"n": n}) for n in range(2_300)])

        assert [one.record.args for one in stored] == [{"n": n} for n in range(2_300)]
        assert len({one.id for one in stored}) == await b.redis.zcard(f"{keys.JOBS}queued") == 2_300
        assert all(one.is_new for one in stored)


async def test_none_is_stored_where_one_of_many_is_wrong(bench):
    """All are checked first, however many steps storing them would take."""
    requests = [Request("t.count", {"n": n if n != 2_299 else "x"}) for n in range(2_300)]
    async with bench(count) as b:
        with pytest.raises(InvalidArguments):
            await b.client.enqueue_many(requests)

        assert not await b.redis.exists(f"{keys.JOBS}queued")


async def test_an_outage_amid_many_is_told_as_for_one(bench):
    """Redis refuses, out of memory: the caller gets Unavailable, not a group of errors."""
    async with bench(count) as b:
        await b.redis.config_set("maxmemory", "1")
        try:
            with pytest.raises(Unavailable):
                await b.client.enqueue_many([Request("t.count", {"n": n}) for n in range(2_300)])
        finally:
            await b.redis.config_set("maxmemory", "0")


async def test_the_record_of_a_stored_job_is_made_when_it_is_asked_for(bench):
    """It is what the inspector reads back."""
    async with bench(count) as b:
        stored = await b.client.enqueue("t.count", {"n": 7})
        read = await b.inspector.get(stored.id)

        assert (stored.record.status, stored.record.args) == (read.status, read.args)
        assert (stored.record.enqueued_ms, stored.record.due_ms) == (read.enqueued_ms, read.due_ms)


async def test_jobs_of_one_moment_are_run_in_their_order(bench):
    """Those of one call, and of calls one after the other, start first in first out, though they share a time."""
    ran = []

    @job(name="t.order")
    async def order(ctx: JobContext, n: int) -> None:
        ran.append(n)

    async with bench(order) as b:
        stored = await b.client.enqueue_many([Request("t.order", {"n": n}) for n in range(300)])
        stored += [await b.client.enqueue("t.order", {"n": n}) for n in range(300, 400)]
        async with b.worker(max_jobs=1):
            await b.ended(stored[-1].id)

    assert ran == list(range(400))
