"""arq's own functions, hooks and cron jobs on our engine."""

import asyncio
from datetime import timedelta

import arq
import pytest
from arq.connections import ArqRedis, create_pool
from arq.jobs import Job, JobStatus
from arq.worker import Retry as ArqRetry
from arq.worker import RetryJob
from structlog.testing import capture_logs

from offload import JobContext, job
from offload.domain.states import Status
from offload.store.connection.connection import settings_of
from offload.store.jobs.codec import json_deserializer, json_serializer

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
    assert [line["job_id"] for line in logs if line["event"] == "attempt_internal_error"] == ["bad"]


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
