"""What a job may do to the event loop, and what it may not break: the worker, the others, its own lease."""

import asyncio
import time

import pytest

from offload import JobContext, job
from offload.domain.policy import Backoff
from offload.domain.states import Status


class Unusual(BaseException):
    """What libraries raise to get past `except Exception`."""


@job(name="t.raises", max_tries=3, backoff=Backoff(base=0.001))
async def raises(ctx: JobContext, what: str) -> None:
    kinds = {
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "generator": GeneratorExit(),
        "unusual": Unusual("odd"),
        "cancelled": asyncio.CancelledError(),
        "stop": StopAsyncIteration(),
    }
    raise kinds[what]


@job(name="t.raises_in_thread", max_tries=1)
def raises_in_thread(ctx: JobContext, what: str) -> None:
    raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "stop": StopIteration(1)}[what]


@job(name="t.ok")
async def ok(ctx: JobContext) -> int:
    return ctx.attempt


@pytest.mark.parametrize(
    ("what", "attempts"),
    [("exit", 1), ("interrupt", 1), ("generator", 1), ("unusual", 1), ("cancelled", 3), ("stop", 3)],
)
async def test_whatever_a_job_raises_ends_only_that_job(bench, what, attempts):
    """What is no Exception is not tried again, a cancellation of its own is; the worker goes on."""
    async with bench(raises, ok) as b, b.worker() as worker:
        record = await b.run("t.raises", what=what)
        after = await b.run("t.ok")

    assert (record.status, record.attempt) == (Status.DEAD, attempts)
    assert after.status is Status.SUCCEEDED
    assert worker.jobs_failed == 1


@pytest.mark.parametrize("what", ["exit", "interrupt", "stop"])
async def test_whatever_a_thread_raises_ends_only_its_job(bench, what):
    """The thread goes on as well."""
    async with bench(raises_in_thread, ok) as b, b.worker():
        record = await b.run("t.raises_in_thread", what=what)
        after = await b.run("t.ok")

    assert (record.status, after.status) == (Status.DEAD, Status.SUCCEEDED)


async def test_a_job_that_holds_the_loop_keeps_its_lease(bench, blocking):
    """Three leases in time.sleep: the guardian, a process of its own, renews, and no other worker takes the job."""
    blocking.deactivate()
    runs = []

    @job(name="t.blocks", max_tries=3)
    async def blocks(ctx: JobContext) -> int:
        runs.append(ctx.attempt)
        time.sleep(3)  # noqa: ASYNC251 - this is what it is about
        return ctx.attempt

    async with bench(blocks) as b, b.worker(has_guardian=True, lease_seconds=1.0) as worker:
        await worker._engine.guardian_link.is_renewing.wait()
        record = await b.run("t.blocks")

    assert (record.status, record.result, runs) == (Status.SUCCEEDED, b"1", [1])
    assert record.finished_ms - record.started_ms >= 3000


async def test_a_job_is_stopped_when_its_lease_is_lost(bench, redis):
    """Another worker has it by now: the attempt is cancelled, and what it would have written is not."""
    stopped = asyncio.Event()
    runs = []

    @job(name="t.holds", max_tries=3)
    async def holds(ctx: JobContext) -> int:
        runs.append(ctx.attempt)
        if ctx.attempt == 2:
            return 2
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return 1

    async with bench(holds) as b, b.worker() as worker:
        job_id = await b.enqueue("t.holds")
        await b.entered(job_id, "running")
        await redis.delete(f"arq:in-progress:{job_id}")
        await redis.zadd("arq:queue", {job_id: 0})
        record = await b.ended(job_id)
        await stopped.wait()

    assert (record.status, record.result, runs) == (Status.SUCCEEDED, b"2", [1, 2])
    assert [a.error.type for a in record.attempts] == ["WorkerLost"]
    assert worker.jobs_failed == 0


async def test_a_late_finish_writes_nothing_and_says_so(bench, redis):
    """A job that another worker ended meanwhile keeps that ending."""
    gate = asyncio.Event()

    @job(name="t.stubborn", max_tries=3)
    async def stubborn(ctx: JobContext) -> str:
        await gate.wait()
        return "late"

    async with bench(stubborn) as b, b.worker() as worker:
        job_id = await b.enqueue("t.stubborn")
        await b.entered(job_id, "running")
        await redis.set(f"arq:in-progress:{job_id}", "another:1", px=60_000)
        attempt = worker.tasks[job_id]
        gate.set()
        await attempt
        await worker._engine.finisher.drained()
        refused = worker._engine.finisher.refused
        record = await b.inspector.get(job_id)
        await redis.delete(f"arq:in-progress:{job_id}")

    assert refused == 1
    assert (record.status, record.result) == (Status.RUNNING, None)
