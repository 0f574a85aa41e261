"""A stopping worker costs nothing; a worker that does not know a function leaves it to others."""

import asyncio
import signal
import threading

from offload import JobContext, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.states import Status
from offload.store.jobs import leases


async def ended(b, ids):
    return [await b.ended(job_id) for job_id in ids]


class Stage:
    """Functions that hold until they are let go, and note each run."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.runs = []

        @job(name="t.holds", max_tries=2)
        async def holds(ctx: JobContext) -> int:
            self.runs.append(ctx.id)
            await self.gate.wait()
            return ctx.attempt

        self.holds = holds


async def test_an_interrupted_job_is_put_back_at_once_as_the_same_attempt(bench):
    """It reads queued, not failed, and another worker runs it as attempt 1."""
    stage = Stage()
    async with bench(stage.holds) as b:
        async with b.worker():
            job_id = await b.enqueue("t.holds")
            await b.entered(job_id, "running")
        between = await b.inspector.get(job_id)
        stage.gate.set()
        async with b.worker():
            record = await b.ended(job_id)

    assert (between.status, between.attempts, between.worker) == (Status.QUEUED, (), None)
    assert (record.status, record.result, record.attempts) == (Status.SUCCEEDED, b"1", ())
    assert stage.runs == [job_id, job_id]


async def test_an_interrupted_job_keeps_its_place(bench):
    """It was first before, and is first again."""
    stage = Stage()
    async with bench(stage.holds) as b:
        async with b.worker(max_jobs=1):
            first = await b.enqueue("t.holds")
            await b.entered(first, "running")
            second = await b.enqueue("t.holds")
        stage.gate.set()
        async with b.worker(max_jobs=1):
            await ended(b, [first, second])

    assert stage.runs == [first, first, second]


async def test_jobs_in_threads_and_in_children_are_put_back_too(bench):
    """A call that cannot be stopped does not keep the worker, and its end counts for nothing."""
    gate, began, runs = threading.Event(), threading.Event(), []

    @job(name="t.blocks")
    def blocks(ctx: JobContext) -> int:
        runs.append(ctx.attempt)
        began.set()
        gate.wait(20)
        return ctx.attempt

    async with bench(blocks) as b:
        async with b.worker():
            job_id = await b.enqueue("t.blocks")
            await asyncio.to_thread(began.wait, 20)
        gate.set()
        async with b.worker():
            record = await b.ended(job_id)

    assert (record.result, runs) == (b"1", [1, 1])


async def test_a_stopping_worker_waits_for_what_runs(bench):
    """Up to the grace; it takes nothing new meanwhile, and a job that ends in time is recorded."""
    stage = Stage()
    async with bench(stage.holds) as b, b.worker(job_completion_wait=20) as worker:
        running = await b.enqueue("t.holds")
        await b.entered(running, "running")
        worker.handle_sig_wait_for_completion(signal.SIGTERM)
        waiting = await b.enqueue("t.holds")
        await asyncio.sleep(0)
        stage.gate.set()
        record = await b.ended(running)
        left = await b.inspector.get(waiting)

    assert (record.status, left.status, stage.runs) == (Status.SUCCEEDED, Status.QUEUED, [running])


async def test_a_second_signal_stops_at_once(bench):
    """What is left is put back now."""
    stage = Stage()
    async with bench(stage.holds) as b, b.worker(job_completion_wait=60) as worker:
        job_id = await b.enqueue("t.holds")
        await b.entered(job_id, "running")
        worker.handle_sig_wait_for_completion(signal.SIGTERM)
        worker.handle_sig_wait_for_completion(signal.SIGTERM)
        record = await b.entered(job_id, "queued")

    assert record.status is Status.QUEUED


async def test_a_claim_that_is_under_way_when_the_worker_stops_is_given_back(bench, monkeypatch):
    """Redis has handed jobs out, the worker was cancelled before it read the answer: they are put back, unharmed."""
    stage = Stage()
    claimed = asyncio.Event()
    real = leases.claim

    async def slow_claim(*args, **about):
        claim = await real(*args, **about)
        if claim.jobs:
            claimed.set()
            await asyncio.sleep(60)
        return claim

    async with bench(stage.holds) as b:
        monkeypatch.setattr(leases, "claim", slow_claim)
        async with b.worker():
            job_id = await b.enqueue("t.holds")
            await claimed.wait()
        monkeypatch.setattr(leases, "claim", real)
        between = await b.inspector.get(job_id)
        stage.gate.set()
        async with b.worker():
            record = await b.ended(job_id)

    assert between.status is Status.QUEUED
    assert (record.result, record.attempts) == (b"1", ())


async def test_a_worker_leaves_nothing_of_itself(bench, redis):
    """After an orderly stop no key names it."""
    stage = Stage()
    async with bench(stage.holds) as b:
        async with b.worker() as worker:
            job_id = await b.enqueue("t.holds")
            await b.entered(job_id, "running")
        keys = [key.decode() async for key in redis.scan_iter()]
        members = [await redis.zscore("offload:workers", worker.worker_id)]
        members += [await redis.zscore("offload:idle:default", worker.worker_id)]

    assert not [key for key in keys if worker.worker_id in key]
    assert members == [None, None]


async def test_a_job_that_cleans_up_when_it_is_cancelled_is_given_the_time(bench):
    """Its finally block runs to the end before the job is put back."""
    cleaned = []

    @job(name="t.cleans")
    async def cleans(ctx: JobContext) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(ctx.id)

    async with bench(cleans) as b:
        async with b.worker():
            job_id = await b.enqueue("t.cleans")
            await b.entered(job_id, "running")
        record = await b.inspector.get(job_id)

    assert (cleaned, record.status) == ([job_id], Status.QUEUED)


@job(name="t.new")
async def new(ctx: JobContext) -> int:
    return ctx.attempt


@job(name="t.old")
async def old(ctx: JobContext) -> None: ...


async def test_an_unknown_function_is_left_to_a_worker_that_knows_it(bench):
    """An old worker during a deploy: it puts the job back, without costing an attempt."""
    async with bench(new, old) as b:
        known = Catalogue(of_functions([old]))
        async with b.inspector._feed.listen() as reader, b.worker(functions=[old], catalogue=known):
            job_id = await b.enqueue("t.new")
            told = [(await reader.next(20)).name for _ in range(3)]
            between = await b.inspector.get(job_id)
        async with b.worker(functions=[new], catalogue=Catalogue(of_functions([new]))):
            record = await b.ended(job_id)

    assert told == ["queued", "running", "queued"]
    assert (between.status, between.attempts) == (Status.QUEUED, ())
    assert (record.status, record.result) == (Status.SUCCEEDED, b"1")


async def test_an_unknown_function_is_dead_after_the_grace(bench):
    """With the list of what this worker knows."""
    known = Catalogue(of_functions([old]))
    async with bench(new, old) as b, b.worker(functions=[old], catalogue=known, unknown_function_grace=0):
        record = await b.run("t.new")

    assert (record.status, record.error.type) == (Status.DEAD, "UnknownFunction")
    assert "'t.new'" in record.error.message
    assert "t.old" in record.error.message
