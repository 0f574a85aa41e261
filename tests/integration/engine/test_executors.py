"""Threads and processes, seen: who waits for one, what a process costs, and threads that do not come back."""

import asyncio
import hashlib
import threading
import time

import pytest
import structlog

from offload import JobContext, Queue, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.states import Status
from offload.store.fleet import workers

gate = threading.Event()
held = threading.Event()


@pytest.fixture(autouse=True)
def gates():
    """Closed before each test; a thread that a test left behind is let go."""
    gate.clear()
    held.clear()
    yield
    gate.set()


@job(name="x.stuck", queue="one", timeout=0.2, max_tries=1)
def stuck(ctx: JobContext) -> None:
    held.set()
    gate.wait(30)  # that is where it is


@job(name="x.deaf", queue="one", timeout=30, max_tries=1)
def deaf(ctx: JobContext) -> str:
    held.set()
    gate.wait(30)
    return "it did not look"


@job(name="x.quick", queue="one")
def quick(ctx: JobContext) -> int:
    return threading.get_ident()


@job(name="x.async", queue="one")
async def shares(ctx: JobContext) -> None:
    """Make the queue one that async jobs share, so that the worker takes more than its threads can run."""
    await ctx.to_thread(time.sleep, 0.01)


@job(name="x.on_loop")
async def on_loop(ctx: JobContext) -> None:
    """Need neither thread nor process."""


@job(name="x.hungry", runs_in="process", queue="cpu")
def hungry(ctx: JobContext, mib: int, seconds: float) -> int:
    block = bytearray(mib * 1_048_576)
    ends = time.process_time() + seconds
    while time.process_time() < ends:
        hashlib.sha256(block[:4096]).digest()
    return len(block)


@job(name="x.steps", queue="cpu")
async def steps(ctx: JobContext) -> int:
    return await ctx.to_process(burn, 0.1)


def burn(seconds: float) -> int:
    """Use the processor for so long."""
    ends = time.process_time() + seconds
    while time.process_time() < ends:
        pass
    return 1


def of(*functions, size=1):
    """These functions, with one thread or process for each queue."""
    names = {function.queue for function in functions}
    return Catalogue(of_functions(functions), {name: Queue(name, max_running=size) for name in names})


async def said_of(redis, queue):
    """What the one live worker last said of the executor of a queue."""
    [about] = await workers.everyone(redis)
    [found] = [one for one in about["executors"] if one["queue"] == queue]
    return found


async def test_the_wait_for_a_thread_is_a_time_of_its_own(bench, monkeypatch):
    """Of a job that finds its queue's thread taken, and of the step of an async job; a job on the loop has none."""
    monkeypatch.setattr("offload.worker.executors.executors.default_threads", lambda: 1)
    async with bench(deaf, shares, on_loop) as b, b.worker() as worker:
        first = await b.enqueue("x.deaf")
        await asyncio.to_thread(held.wait, 10)
        ids = [await b.enqueue("x.deaf"), await b.enqueue("x.async")]
        await until(lambda: waiting(worker) == 2)
        began = time.monotonic()
        await b.run("x.on_loop")
        gate.set()
        waited_ms = (time.monotonic() - began) * 1000
        records = [await b.ended(one) for one in ids]
        free, loop = await b.ended(first), await b.run("x.on_loop")

    assert all(one.executor_wait_ms >= waited_ms for one in records)
    assert (free.cpu_ms, free.peak_rss_bytes, loop.executor_wait_ms) == (None, None, None)


async def test_a_process_job_says_what_it_cost(bench):
    """Processor time and the peak of its own memory, not that of the job before it in the same process."""
    async with bench(catalogue=of(hungry)) as b, b.worker():
        big = await b.run("x.hungry", mib=100, seconds=0.2)
        small = await b.run("x.hungry", mib=1, seconds=0)

    assert big.cpu_ms >= 200
    assert big.peak_rss_bytes > 100 * 1_048_576
    assert small.cpu_ms < 200
    assert small.peak_rss_bytes < big.peak_rss_bytes - 80 * 1_048_576


async def test_what_steps_in_processes_cost_is_the_jobs(bench):
    """An async job is charged for what it sends away."""
    async with bench(catalogue=of(steps)) as b, b.worker():
        record = await b.run("x.steps")

    assert record.cpu_ms >= 100
    assert record.peak_rss_bytes > 0


async def test_a_thread_that_outlives_its_timeout_is_shown_and_named_until_it_returns(bench, redis):
    """With its job and the line at which it is; its place in the queue is another thread's meanwhile."""
    with structlog.testing.capture_logs() as said:
        async with bench(catalogue=of(stuck, quick)) as b, b.worker(abort_grace=0.05) as worker:
            job_id = await b.enqueue("x.stuck")
            dead = await b.ended(job_id)
            leaked = await until(lambda: find(said, "thread_leaked"))
            meanwhile = worker._engine.executors.usage(["one"])
            others = [await b.run("x.quick") for _ in range(2)]
            gate.set()
            returned = await until(lambda: find(said, "thread_returned"))
            after = worker._engine.executors.usage(["one"])

    idle = {"queue": "one", "kind": "thread", "size": 1, "busy": 0, "waiting": 0}
    assert dead.error.type == "AttemptTimeout"
    assert (leaked["job_id"], leaked["function"], leaked["leaked"]) == (job_id, "x.stuck", 1)
    assert leaked["at"].startswith(f"{__file__}:")
    assert meanwhile == [{**idle, "leaked": 1}]
    assert [one.status for one in others] == [Status.SUCCEEDED] * 2
    assert (returned["job_id"], after) == (job_id, [{**idle, "leaked": 0}])


async def test_a_thread_that_ignores_its_abort_is_shown_as_leaked(bench):
    """Its job runs on, as nothing can end it; the queue is not starved by it."""
    with structlog.testing.capture_logs() as said:
        async with bench(catalogue=of(deaf, quick)) as b, b.worker(abort_grace=0.05):
            job_id = await b.enqueue("x.deaf")
            await asyncio.to_thread(held.wait, 10)
            await b.client.abort(job_id)
            leaked = await until(lambda: find(said, "thread_leaked"))
            gate.set()
            ended = await b.ended(job_id)

    assert leaked["job_id"] == job_id
    assert ended.status is Status.SUCCEEDED


async def test_more_leaked_threads_than_places_hold_the_rest_up(bench):
    """A queue has twice its threads at most: what leaks without end is no way to have more."""
    with structlog.testing.capture_logs() as said:
        async with bench(catalogue=of(stuck, quick)) as b, b.worker(abort_grace=0.05, max_leaked_threads=0) as worker:
            for n in range(2):
                await b.ended(await b.enqueue("x.stuck"))
                await until(lambda n=n: find(said, "thread_leaked", n))
            full = worker._engine.executors.usage(["one"])
            waits = await b.enqueue("x.quick")
            gate.set()
            ended = await b.ended(waits)

    assert [(one["busy"], one["leaked"]) for one in full] == [(1, 2)]
    assert ended.status is Status.SUCCEEDED


async def test_a_worker_with_too_many_leaked_threads_stops_in_order(bench):
    """It claims no more, and ends by itself, to be replaced."""
    with structlog.testing.capture_logs() as said:
        async with bench(catalogue=of(stuck, quick, size=2)) as b:
            worker = b.make_worker(abort_grace=0.05, max_leaked_threads=2)
            running = asyncio.create_task(worker.async_run())
            ids = [await b.enqueue("x.stuck") for _ in range(2)]
            await asyncio.gather(running, return_exceptions=True)
            records = [await b.inspector.get(one) for one in ids]
            await worker.close()

    assert worker.is_recycled
    assert find(said, "worker_recycling")["leaked"] == 2
    assert [one.status for one in records] == [Status.DEAD] * 2


async def test_a_worker_says_what_its_executors_do(bench, redis):
    """In its beat: busy of size, and how many wait."""
    async with bench(catalogue=of(deaf, shares)) as b:
        for _ in range(3):
            await b.enqueue("x.deaf")
        async with b.worker() as worker:
            await asyncio.to_thread(held.wait, 10)
            await workers.heartbeat(redis, worker.worker_id, worker._describe())
            said = await said_of(redis, "one")
            fleet_metrics = await b.inspector.fleet_metrics()
            gate.set()

    assert said == {"queue": "one", "kind": "thread", "size": 1, "busy": 1, "waiting": 0, "leaked": 0}
    assert fleet_metrics.executors == {("thread", "one"): {"size": 1, "busy": 1, "waiting": 0, "leaked": 0}}


def waiting(worker):
    """How many wait for a thread of queue `one`."""
    return worker._engine.executors.threads("one").waiting


async def until(look):
    """Return what a look finds as soon as it does."""
    async with asyncio.timeout(10):
        while not (found := look()):  # noqa: ASYNC110 - a thread's doing, or another part's
            await asyncio.sleep(0.005)
        return found


def find(said, event, skip=0):
    """The log line of an event, if there is one by now."""
    return next((line for line in [one for one in said if one["event"] == event][skip:]), None)
