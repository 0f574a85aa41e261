"""Stock producers and workers, pickle, and arq's `Job`, beside our engine."""

import asyncio

import arq
import pytest
from arq.connections import create_pool
from arq.jobs import Job, JobStatus

from offload import JobContext, job
from offload.domain.states import Status
from offload.store.connection.connection import settings_of
from offload.store.fleet import stats
from offload.store.jobs.codec import json_deserializer, json_serializer
from support.stock import StockWorker

JSON = {"job_serializer": json_serializer, "job_deserializer": json_deserializer}


@pytest.fixture
async def pool(redis, redis_server):
    """A stock producer that speaks JSON."""
    made = await create_pool(settings_of(redis_server.url), **JSON)
    yield made
    await made.aclose()


def job_of(redis, job_id):
    return Job(job_id, redis, _deserializer=json_deserializer)


async def adds(ctx, a):
    return a + 1


async def breaks(ctx):
    raise ValueError("no")


async def hangs(ctx):
    await asyncio.sleep(60)


@job(name="t.ours")
async def ours(ctx: JobContext, a: int) -> int:
    return a + 1


@job(name="t.waits")
async def waits(ctx: JobContext) -> None:
    await asyncio.sleep(60)


async def test_job_status_and_info_read_our_jobs(bench, redis):
    """Queued, running and complete, as arq names them; a deferred one too."""
    gate = asyncio.Event()

    @job(name="t.holds")
    async def holds(ctx: JobContext, word: str) -> str:
        await gate.wait()
        return word

    async with bench(holds) as b:
        job_id = await b.enqueue("t.holds", word="hi")
        theirs = job_of(redis, job_id)
        queued, info = await theirs.status(), await theirs.info()
        async with b.worker():
            await b.entered(job_id, "running")
            running = await theirs.status()
            gate.set()
            result = await theirs.result(timeout=20, poll_delay=0.01)
            complete = await theirs.status()

    assert (queued, running, complete) == (JobStatus.queued, JobStatus.in_progress, JobStatus.complete)
    assert (info.function, info.kwargs, info.job_try) == ("t.holds", {"word": "hi"}, None)
    assert result == "hi"


async def test_job_abort_stops_our_running_job(bench, redis):
    """Arq's Job.abort() tells nobody: the claim loop looks for it, and the answer is True."""
    async with bench(waits) as b, b.worker(poll_delay=0.05):
        job_id = await b.enqueue("t.waits")
        await b.entered(job_id, "running")
        aborting = asyncio.create_task(job_of(redis, job_id).abort(timeout=20, poll_delay=0.01))
        record = await b.ended(job_id)
        outcome = await asyncio.gather(aborting, return_exceptions=True)

    assert record.status is Status.ABORTED
    assert not isinstance(outcome[0], TimeoutError)
    assert await redis.zcard("arq:abort") == 0


async def test_job_abort_stops_a_waiting_job_before_it_runs(bench, redis, pool):
    """Deferred by a day: arq makes it due, and it is aborted instead of run."""
    async with bench(hangs) as b, b.worker(poll_delay=0.05):
        made = await pool.enqueue_job("hangs", _defer_by=86_400)
        await asyncio.gather(made.abort(timeout=20, poll_delay=0.01), return_exceptions=True)
        record = await b.ended(made.job_id)

    assert (record.status, record.started_ms is None or record.attempt == 1) == (Status.ABORTED, True)


async def test_job_abort_works_with_pickle(bench, redis_server):
    """With arq's own serializer a CancelledError is stored, for which Job.abort() answers True."""
    started = asyncio.Event()

    async def starts(ctx):
        started.set()
        await asyncio.sleep(60)

    plain = arq.func(starts, name="starts")
    async with bench(plain) as b, b.worker(job_serializer=None, job_deserializer=None, poll_delay=0.05):
        pool = await create_pool(settings_of(redis_server.url))
        made = await pool.enqueue_job("starts")
        await started.wait()
        aborted = await made.abort(timeout=20, poll_delay=0.01)
        await pool.aclose()

    assert aborted is True


async def test_pickled_results_and_errors_are_the_objects_themselves(bench, redis_server):
    """A stock producer without serializers gets what it gets from a stock worker."""

    async def gives(ctx):
        return {1: (2, 3)}

    async with bench(arq.func(gives, name="gives"), breaks) as b, b.worker(job_serializer=None, job_deserializer=None):
        pool = await create_pool(settings_of(redis_server.url))
        result = await (await pool.enqueue_job("gives")).result(timeout=20, poll_delay=0.01)
        broken = await pool.enqueue_job("breaks")
        with pytest.raises(ValueError, match="no"):
            await broken.result(timeout=20, poll_delay=0.01)
        everything = {one.function: one.success for one in await pool.all_job_results()}
        await pool.aclose()

    assert result == {1: (2, 3)}
    assert everything == {"gives": True, "breaks": False}


async def test_a_pickled_job_is_refused_by_a_json_worker(bench, redis_server):
    """It is dead with a reason that names the setting; nothing of it was executed."""
    async with bench(adds) as b, b.worker(poll_delay=0.05):
        pool = await create_pool(settings_of(redis_server.url))
        made = await pool.enqueue_job("adds", 1)
        record = await b.ended(made.job_id)
        await pool.aclose()

    assert record.status is Status.DEAD
    assert "OFFLOAD_SERIALIZER=pickle" in record.error.message


async def burst(redis_server, *functions):
    """Run a stock worker until the queue is empty."""
    stock = StockWorker(
        functions,
        redis_settings=settings_of(redis_server.url),
        burst=True,
        handle_signals=False,
        poll_delay=0.01,
        **JSON,
    )
    await stock.async_run()
    await stock.close()


async def test_a_stock_worker_runs_our_clients_jobs(bench, redis, redis_server):
    """It finds function and arguments, and we find the result, also that of a failure."""

    async def ours_by_arq(ctx, a):
        return a + 1 // a

    async with bench(ours) as b:
        good, bad = await b.enqueue("t.ours", a=1), await b.enqueue("t.ours", a=0)
        await burst(redis_server, arq.func(ours_by_arq, name="t.ours"))
        records = [await b.inspector.get(job_id) for job_id in (good, bad)]

    assert (records[0].status, records[0].result, records[0].args) == (Status.SUCCEEDED, b"2", {"a": 1})
    assert (records[1].status, records[1].error.type) == (Status.DEAD, "ZeroDivisionError")


async def test_what_a_stock_worker_ended_leaves_no_record_for_ever(bench, redis, redis_server):
    """It does not know our lists: upkeep takes the job out of them, and arq's result goes on to be read."""

    async def ours_by_arq(ctx, a):
        return a

    async with bench(ours) as b:
        ended = await b.enqueue("t.ours", a=1)
        await burst(redis_server, arq.func(ours_by_arq, name="t.ours"))
        waiting = await b.enqueue("t.ours", a=2)
        gone = await stats.prune(redis)
        listed = [one.id for one in (await b.inspector.list_jobs()).items]
        record = await b.inspector.get(ended)

    assert (gone, listed) == (1, [waiting])
    assert (record.status, record.result) == (Status.SUCCEEDED, b"1")
    assert not await redis.exists(f"offload:job:{ended}")


async def test_stock_and_our_workers_share_a_queue(bench, pool, redis_server):
    """Each job runs once, on one of them."""
    runs = []

    async def notes(ctx, n):
        runs.append(n)
        await asyncio.sleep(0.01)

    shared = arq.func(notes, name="notes")
    async with bench(shared) as b:
        made = [await pool.enqueue_job("notes", n) for n in range(30)]
        stock = StockWorker(
            [shared], redis_settings=settings_of(redis_server.url), burst=True, handle_signals=False, max_jobs=3,
            poll_delay=0.02, **JSON,
        )  # fmt: skip
        async with b.worker(max_jobs=3, poll_delay=0.02):
            await stock.async_run()
            for one in made:
                await one.result(timeout=20, poll_delay=0.01)
        await stock.close()

    assert sorted(runs) == list(range(30))
