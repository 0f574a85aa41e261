"""Priorities and unique keys with real workers, ours and stock ones; what a job passes on to the jobs it puts in."""

import asyncio

import arq
import pytest
import structlog
from arq.connections import create_pool
from arq.jobs import Job, JobStatus
from arq.worker import Retry as ArqRetry

from offload import JobContext, job
from offload.domain.functions import EnqueueOptions
from offload.domain.states import Status
from offload.store import keys
from offload.store.connection.connection import settings_of
from offload.store.jobs.codec import json_deserializer, json_serializer
from support.stock import StockWorker

JSON = {"job_serializer": json_serializer, "job_deserializer": json_deserializer}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{TRACE_ID}-b7ad6b7169203331-01"
RAN: list[int] = []


@pytest.fixture(autouse=True)
def nothing_ran():
    """Each test begins with an empty list of what ran."""
    RAN.clear()


@pytest.fixture
async def pool(redis, redis_server):
    """A stock producer that speaks JSON."""
    made = await create_pool(settings_of(redis_server.url), **JSON)
    yield made
    await made.aclose()


async def notes(ctx, n):
    """A plain arq function, which both kinds of worker run."""
    RAN.append(n)
    if ctx["job_try"] == 1 and n >= 100:
        raise ArqRetry
    return n


NOTES = arq.func(notes, name="notes")


def stock_worker(redis_server, **about):
    """A stock worker that runs one job at a time until the queue is empty."""
    address = settings_of(redis_server.url)
    options = {"burst": True, "handle_signals": False, "max_jobs": 1, "poll_delay": 0.01, **JSON, **about}
    return StockWorker([NOTES], redis_settings=address, **options)


async def run_stock(redis_server):
    """Run a stock worker until the queue is empty."""
    worker = stock_worker(redis_server)
    await worker.async_run()
    await worker.close()


async def put(b, *priorities):
    """Put in one job for each, which notes its place in the list."""
    options = [EnqueueOptions(priority=priority, keep_result=60) for priority in priorities]
    return [await b.enqueue("notes", one, n=n) for n, one in enumerate(options)]


async def test_our_worker_runs_higher_priorities_first(bench):
    """Of what is due when it claims."""
    async with bench(NOTES) as b:
        ids = await put(b, 0, 1, 9, 0, 9)
        async with b.worker(max_jobs=1):
            for one in ids:
                await b.ended(one)

    assert RAN == [2, 4, 1, 0, 3]


async def test_a_stock_worker_runs_them_in_the_same_order(bench, redis_server, redis):
    """It orders by the same scores, ends the jobs as its own, and leaves nothing of them in the queue."""
    async with bench(NOTES) as b:
        ids = await put(b, 0, 1, 9, 0, 9)
        await run_stock(redis_server)
        records = [await b.inspector.get(one) for one in ids]

    assert RAN == [2, 4, 1, 0, 3]
    assert {one.status for one in records} == {Status.SUCCEEDED}
    assert await redis.zcard("arq:queue") == 0


async def test_a_stock_producers_jobs_come_after_ours_of_a_priority(bench, pool):
    """They have none, so among themselves and with ours of 0 they keep their order."""
    async with bench(NOTES) as b:
        stock = await pool.enqueue_job("notes", 7)
        await b.enqueue("notes", EnqueueOptions(priority=1), n=8)
        async with b.worker(max_jobs=1):
            await b.ended(stock.job_id)

    assert RAN == [8, 7]


async def test_a_job_that_a_stock_worker_retries_is_ours_to_run(bench, redis_server, redis):
    """Its retry puts the job at a time of its own, whatever its priority was."""
    async with bench(NOTES) as b:
        one = await b.enqueue("notes", EnqueueOptions(priority=9, keep_result=60), n=100)
        stock = stock_worker(redis_server, max_burst_jobs=1)
        await stock.async_run()
        await stock.close()
        async with b.worker():
            record = await b.ended(one)

    assert RAN == [100, 100]
    assert record.status is Status.SUCCEEDED


async def test_arqs_job_reads_one_of_a_priority(bench, redis):
    """It is queued, and can be aborted; a deferred one is deferred until the time that its score says."""
    async with bench(NOTES) as b:
        due, later = [
            Job(await b.enqueue("notes", one, n=1), redis, _deserializer=json_deserializer)
            for one in (EnqueueOptions(priority=9), EnqueueOptions(priority=9, delay=3600))
        ]
        statuses = [await due.status(), await later.status()]
        infos = [await due.info(), await later.info()]
        async with b.worker(poll_delay=0.05):
            await asyncio.gather(later.abort(timeout=20, poll_delay=0.01), return_exceptions=True)
            aborted = await b.ended(later.job_id)

    assert statuses == [JobStatus.queued, JobStatus.deferred]
    assert infos[0].score < 0 < infos[1].score
    assert aborted.status is Status.ABORTED


async def test_both_kinds_of_worker_share_a_queue_of_priorities(bench, redis_server):
    """Each job is run once."""
    async with bench(NOTES) as b:
        ids = await put(b, *[n % 10 for n in range(40)])
        stock = stock_worker(redis_server, max_jobs=3)
        async with b.worker(max_jobs=3, poll_delay=0.02):
            await stock.async_run()
            for one in ids:
                await b.ended(one)
        await stock.close()

    assert sorted(RAN) == list(range(40))


async def test_a_unique_key_is_free_once_a_stock_worker_ended_its_job(bench, redis_server, redis):
    """Though it knows nothing of the key."""
    only = EnqueueOptions(unique_key="k", keep_result=60)
    async with bench(NOTES) as b:
        first = await b.client.enqueue("notes", {"n": 1}, only)
        refused = await b.client.enqueue("notes", {"n": 2}, only)
        await run_stock(redis_server)
        after = await b.client.enqueue("notes", {"n": 3}, only)
        async with b.worker():
            await b.ended(after.id)

    assert (refused.id, refused.is_new, after.is_new) == (first.id, False, True)
    assert RAN == [1, 3]
    assert not [key async for key in redis.scan_iter(keys.UNIQUE + "*")]


@job(name="t.child")
async def child(ctx: JobContext) -> str | None:
    return ctx.traceparent


@job(name="t.parent")
async def parent(ctx: JobContext, delay: float) -> list[str]:
    tickets = [await ctx.enqueue("t.child", EnqueueOptions(unique_key="k", delay=delay, priority=2)) for _ in range(2)]
    return [one.id for one in tickets]


@job(name="t.parent_in_thread")
def parent_in_thread(ctx: JobContext, delay: float) -> list[str]:
    return [ctx.enqueue("t.child", EnqueueOptions(unique_key="k", delay=delay)).id for _ in range(2)]


@pytest.mark.parametrize("name", ["t.parent", "t.parent_in_thread"])
async def test_a_ticket_names_the_job_that_stands(bench, name):
    """On the loop and in a thread: of two with one unique key there is one job, which both tickets name."""
    async with bench(parent, parent_in_thread, child) as b, b.worker():
        record = await b.run(name, delay=3600.0)
        first, second = [one.strip('"') for one in record.result.decode().strip("[]").split(",")]
        made = await b.inspector.get(first)

    assert first == second
    assert (made.status, made.parent, made.unique_key) == (Status.DEFERRED, record.id, "k")


async def test_a_trace_goes_on_to_the_jobs_that_a_job_puts_in(bench):
    """And stands in the worker's log lines of each."""
    with structlog.testing.capture_logs() as said:
        async with bench(parent, parent_in_thread, child) as b, b.worker():
            record = await b.run("t.parent", EnqueueOptions(traceparent=TRACE), delay=0.0)
            made = await b.ended(record.result.decode()[2:34])

    assert made.result == f'"{TRACE}"'.encode()
    assert [line["trace_id"] for line in said if line["event"] == "job_started"] == [TRACE_ID, TRACE_ID]


async def test_arguments_that_are_models_are_unique_by_what_they_say(bench):
    """`unique_for` alone takes them for the key, in any order of their names."""

    async def takes(ctx, **about):
        """Take anything."""

    only = EnqueueOptions(unique_for=60)
    async with bench(arq.func(takes, name="takes")) as b:
        first = await b.client.enqueue("takes", {"a": {"x": 1, "y": 2}, "b": (1,)}, only)
        same = await b.client.enqueue("takes", {"b": [1], "a": {"y": 2, "x": 1}}, only)
        other = await b.client.enqueue("takes", {"b": [2], "a": {"y": 2, "x": 1}}, only)

    assert (same.id, same.is_new) == (first.id, False)
    assert other.is_new
