"""What a queue allows, over all workers; and what one worker takes."""

import asyncio
import threading

from offload import JobContext, Queue, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.states import Status
from offload.store.fleet import queues


class Meter:
    """Counts how many jobs run at once."""

    def __init__(self):
        self.now = self.most = self.ran = 0
        self.lock = threading.Lock()

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self.lock:
            self.now -= 1
            self.ran += 1


def of(*declared, functions):
    return Catalogue(of_functions(functions), {queue.name: queue for queue in declared})


async def ended(b, ids):
    return [await b.ended(job_id) for job_id in ids]


async def test_max_running_holds_over_two_workers(bench):
    """Never more than two at once, and never fewer than could run."""
    meter = Meter()

    @job(name="t.one", queue="llm")
    async def one(ctx: JobContext) -> None:
        with meter:
            await asyncio.sleep(0.02)

    async with bench(catalogue=of(Queue("llm", max_running=2), functions=[one])) as b:
        ids = [await b.enqueue("t.one") for _ in range(12)]
        async with b.worker(poll_delay=30), b.worker(poll_delay=30):
            records = await ended(b, ids)

    assert [r.status for r in records] == [Status.SUCCEEDED] * 12
    assert (meter.most, meter.ran) == (2, 12)


async def test_a_rate_holds_over_two_workers(bench):
    """Six jobs at three in 0.5 s take at least one window, whoever runs them."""

    @job(name="t.one", queue="api")
    async def one(ctx: JobContext) -> None: ...

    async with bench(catalogue=of(Queue("api", rate="3/s"), functions=[one])) as b:
        ids = [await b.enqueue("t.one") for _ in range(6)]
        async with b.worker(poll_delay=30), b.worker(poll_delay=30):
            records = await ended(b, ids)
    starts = sorted(r.started_ms for r in records)

    assert all(later - earlier >= 1000 for earlier, later in zip(starts, starts[3:], strict=False))


async def test_a_limit_of_one_queue_leaves_the_others_alone(bench):
    """Jobs of another queue run while one is full."""
    gate = asyncio.Event()

    @job(name="t.holds", queue="llm")
    async def holds(ctx: JobContext) -> None:
        await gate.wait()

    @job(name="t.other")
    async def other(ctx: JobContext) -> None: ...

    async with bench(catalogue=of(Queue("llm", max_running=1), functions=[holds, other])) as b, b.worker():
        held = [await b.enqueue("t.holds") for _ in range(3)]
        record = await b.run("t.other")
        gate.set()
        await ended(b, held)

    assert record.status is Status.SUCCEEDED


async def test_a_paused_queue_starts_nothing_until_it_is_resumed(bench, redis):
    """Running jobs go on; waiting ones wait."""
    gate = asyncio.Event()

    @job(name="t.holds")
    async def holds(ctx: JobContext) -> None:
        await gate.wait()

    async with bench(holds) as b, b.worker(poll_delay=0.05):
        running = await b.enqueue("t.holds")
        await b.entered(running, "running")
        await queues.pause(redis, "default", paused=True)
        waiting = await b.enqueue("t.holds")
        gate.set()
        ran = await b.ended(running)
        paused = await b.inspector.get(waiting)
        await queues.pause(redis, "default", paused=False)
        resumed = await b.ended(waiting)

    assert (ran.status, paused.status, resumed.status) == (Status.SUCCEEDED, Status.QUEUED, Status.SUCCEEDED)
    assert resumed.started_ms >= ran.finished_ms


async def test_what_a_worker_cannot_run_yet_is_left_to_others(bench):
    """A worker with two threads takes two jobs of a queue of threads, not what would wait inside it."""
    gate = threading.Event()
    meter = Meter()

    @job(name="t.blocks", queue="cpu")
    def blocks(ctx: JobContext) -> None:
        with meter:
            gate.wait(20)

    catalogue = of(Queue("cpu", max_running=2), functions=[blocks])
    async with bench(catalogue=catalogue) as b, b.worker(poll_delay=0.05) as worker, b.worker(poll_delay=0.05) as other:
        await b.redis.hset("offload:queue:cpu", "max_running", 100)  # an operator's word; the threads stay two
        ids = []
        async with b.inspector._feed.listen() as reader:
            while meter.now < 4:
                ids.append(await b.enqueue("t.blocks"))  # each claim is one of its own
                event = await reader.next(0.2)
                while event is not None and event.name != "running":
                    event = await reader.next(0.2)
        waiting = await b.enqueue("t.blocks")
        await b.inspector.wait(waiting, 0.2)
        taken = len(worker.tasks), len(other.tasks)
        gate.set()
        await ended(b, [*ids, waiting])

    assert taken == (2, 2)


async def test_queues_are_worked_by_priority(bench):
    """With one slot, the urgent queue is emptied first, whatever came first."""
    order = []

    @job(name="t.low", queue="low")
    async def low(ctx: JobContext) -> None:
        order.append("low")

    @job(name="t.high", queue="high")
    async def high(ctx: JobContext) -> None:
        order.append("high")

    declared = Queue("low"), Queue("high", priority=10)
    async with bench(catalogue=of(*declared, functions=[low, high])) as b:
        ids = [await b.enqueue(name) for name in ("t.low", "t.low", "t.high", "t.high")]
        async with b.worker(max_jobs=1):
            await ended(b, ids)

    assert order == ["high", "high", "low", "low"]


async def test_no_more_jobs_run_at_once_than_the_worker_has_slots(bench):
    """max_jobs holds, and freed slots are filled at once."""
    meter = Meter()

    @job(name="t.one")
    async def one(ctx: JobContext) -> None:
        with meter:
            await asyncio.sleep(0.01)

    async with bench(one) as b:
        ids = [await b.enqueue("t.one") for _ in range(20)]
        async with b.worker(max_jobs=3, poll_delay=30):
            await ended(b, ids)

    assert (meter.most, meter.ran) == (3, 20)
