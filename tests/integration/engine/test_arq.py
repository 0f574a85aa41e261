"""arq's own functions, hooks, producers, workers and `Job`, on our engine and beside it."""

import asyncio
from datetime import timedelta

import arq
import pytest
from arq.connections import ArqRedis, create_pool
from arq.jobs import Job, JobStatus
from arq.worker import Retry as ArqRetry
from arq.worker import RetryJob
from arq.worker import Worker as StockWorker
from structlog.testing import capture_logs

from service import JobContext, job
from service.domain.states import Status
from service.store import stats
from service.store.codec import json_deserializer, json_serializer
from service.store.connection import settings_of

JSON = {"job_serializer": json_serializer, "job_deserializer": json_deserializer}


@pytest.fixture
async def pool(redis, redis_server):
    """A stock producer that speaks JSON."""
    made = await create_pool(settings_of(redis_server.url), **JSON)
    yield made
    await made.aclose()


def job_of(redis, job_id):
    return Job(job_id, redis, _deserializer=json_deserializer)


async def adds(ctx, a, b=1):
    return {"sum": a + b, "id": ctx["job_id"], "try": ctx["job_try"], "redis": isinstance(ctx["redis"], ArqRedis)}


async def breaks(ctx):
    raise ValueError("no")


async def defers(ctx):
    if ctx["job_try"] == 1:
        raise ArqRetry(defer=timedelta(milliseconds=20))
    if ctx["job_try"] == 2:
        raise RetryJob
    return ctx["job_try"]


async def hangs(ctx):
    await asyncio.sleep(60)


@job(name="t.ours")
async def ours(ctx: JobContext, a: int) -> int:
    return a + 1


@job(name="t.waits")
async def waits(ctx: JobContext) -> None:
    await asyncio.sleep(60)


async def test_a_stock_producers_job_runs_with_arqs_context(bench, pool):
    """Function by its name, arguments by position; ctx is a dict with what arq puts there."""
    async with bench(adds) as b, b.worker():
        made = await pool.enqueue_job("adds", 2, b=3, _job_id="mine")
        result = await made.result(timeout=20, poll_delay=0.01)
        info = await made.result_info()

    assert result == {"sum": 5, "id": "mine", "try": 1, "redis": True}
    assert (info.success, info.function, info.args, info.kwargs, info.queue_name) == (
        True, "adds", [2], {"b": 3}, "arq:queue",
    )  # fmt: skip


async def test_a_stock_producer_reaches_our_typed_functions(bench, pool):
    """Positional arguments are bound to their names and checked."""
    async with bench(ours) as b, b.worker():
        good, bad = await pool.enqueue_job("t.ours", 1), await pool.enqueue_job("t.ours", "x")
        record, refused = await b.ended(good.job_id), await b.ended(bad.job_id)

    assert (record.status, record.result, record.args) == (Status.SUCCEEDED, b"2", {"a": 1})
    assert (refused.status, refused.attempt, refused.error.type) == (Status.DEAD, 1, "InvalidArguments")


async def test_a_stock_producers_deferred_job_waits(bench, pool):
    """_defer_by is a score in the queue."""
    async with bench(adds) as b, b.worker(poll_delay=0.05):
        later = await pool.enqueue_job("adds", 1, _defer_by=3600)
        soon = await pool.enqueue_job("adds", 1, _defer_by=0.1)
        await b.ended(soon.job_id)
        status = await later.status()

    assert status is JobStatus.deferred


async def test_an_ordinary_exception_of_a_plain_function_is_not_retried(bench, pool):
    """As in arq; its error is kept."""
    async with bench(breaks) as b, b.worker():
        made = await pool.enqueue_job("breaks")
        record = await b.ended(made.job_id)

    assert (record.status, record.attempt, record.error.type) == (Status.DEAD, 1, "ValueError")


async def test_arqs_own_retries_run_a_plain_function_again(bench, pool):
    """Retry after its defer, RetryJob at once."""
    async with bench(defers) as b, b.worker():
        made = await pool.enqueue_job("defers")
        record = await b.ended(made.job_id)

    assert (record.status, record.result, record.attempt) == (Status.SUCCEEDED, b"3", 3)


async def test_a_timeout_of_a_plain_function_ends_the_job(bench, pool):
    """As in arq."""
    async with bench(arq.func(hangs, timeout=0.05)) as b, b.worker():
        made = await pool.enqueue_job("hangs")
        record = await b.ended(made.job_id)

    assert (record.status, record.attempt, record.error.type) == (Status.DEAD, 1, "TimeoutError")


async def test_arq_func_says_name_ttl_and_tries(bench, pool, redis):
    """The options of arq.func hold."""

    async def again(ctx):
        raise RetryJob

    plus, again = arq.func(adds, name="plus", keep_result=50), arq.func(again, name="again", max_tries=2)
    async with bench(plus, again) as b:
        async with b.worker():
            plus, twice = await pool.enqueue_job("plus", 1), await pool.enqueue_job("again")
            record, dead = await b.ended(plus.job_id), await b.ended(twice.job_id)
        ttl = await redis.ttl(f"arq:result:{plus.job_id}")

    assert record.status is Status.SUCCEEDED
    assert 45 <= ttl <= 50
    assert dead.status is Status.DEAD
    assert "max 2 retries exceeded" in dead.error.message


async def test_hooks_run_in_arqs_order_with_arqs_context(bench, pool):
    """startup, then for each job start, end and after its end is stored, then shutdown; one ctx for all."""
    seen = []

    def hook(name):
        async def call(ctx):
            seen.append((name, ctx.get("job_id"), ctx.get("mine")))

        return call

    async def startup(ctx):
        ctx["mine"] = 7
        seen.append(("startup", None, None))

    async def after(ctx):
        stored = await job_of(ctx["redis"], ctx["job_id"]).result_info()
        seen.append(("after", ctx["job_id"], stored.success))

    hooks = {"on_startup": startup, "on_shutdown": hook("shutdown"), "on_job_start": hook("start")}
    async with bench(adds) as b, b.worker(**hooks, on_job_end=hook("end"), after_job_end=after):
        made = await pool.enqueue_job("adds", 1, _job_id="j")
        await made.result(timeout=20, poll_delay=0.01)
        await b.ended("j")

    assert seen == [
        ("startup", None, None), ("start", "j", 7), ("end", "j", 7), ("after", "j", True), ("shutdown", None, 7),
    ]  # fmt: skip


async def test_a_hook_that_fails_fails_no_other_job(bench, pool):
    """Its own job is tried again; the worker goes on."""
    calls = []

    async def start(ctx):
        calls.append(ctx["job_id"])
        if calls == ["bad"]:
            raise RuntimeError("hook")

    async with bench(adds) as b, b.worker(on_job_start=start):
        with capture_logs() as logs:
            await pool.enqueue_job("adds", 1, _job_id="bad")
            await b.entered("bad", "retrying")
            made = await pool.enqueue_job("adds", 1, _job_id="good")
            await made.result(timeout=20, poll_delay=0.01)

    assert calls[0] == "bad"
    assert [line["job_id"] for line in logs if line["event"] == "attempt_broke"] == ["bad"]


async def test_arq_cron_jobs_run(bench):
    """A cron list as in WorkerSettings, with arq's names."""
    ran = asyncio.Event()

    async def tick(ctx):
        ran.set()

    cron = arq.cron(tick, second=set(range(60)), run_at_startup=True)
    async with bench(adds) as b, b.worker(cron_jobs=[cron], poll_delay=0.1):
        async with asyncio.timeout(20):
            await ran.wait()

    assert ran.is_set()


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
        listed = [one.id for one in (await b.inspector.page()).items]
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
