"""Workers that are replaced one after another while jobs come in."""

import asyncio
import signal
from collections import Counter, defaultdict

import pytest

from offload.domain.functions import EnqueueOptions
from offload.domain.states import Status

GRACE = 1.0
EVERY = 0.02
LONG = 25  # one job in so many runs longer than the grace
LONG_S = 2.5
WORKERS = 3


class Stream:
    """Jobs that come in without a pause until they are told to end, and when each was stored."""

    def __init__(self, bench):
        self.bench = bench
        self.stored = {}
        self.is_over = asyncio.Event()

    async def run(self):
        """Put in a job every 20 ms, most of them short."""
        loop = asyncio.get_running_loop()
        while not self.is_over.is_set():
            number = len(self.stored)
            seconds = LONG_S if number % LONG == 0 else 0.01
            job_id = f"job-{number}"
            before = loop.time()  # CLOCK_MONOTONIC, which the job functions read too
            await self.bench.enqueue("e.waits", EnqueueOptions(job_id=job_id), seconds=seconds)
            self.stored[job_id] = before
            await asyncio.sleep(EVERY)


def read(path):
    """Return what happened to each job, in order: `(what, when)`."""
    told = defaultdict(list)
    for line in path.read_text().splitlines():
        what, job_id, at = line.split()
        told[job_id].append((what, float(at)))
    return told


def waits_of(stored_at, told):
    """Return how long a job waited for each of its starts: since it was stored, and since it was cut short."""
    ready = [stored_at, *(at for what, at in told if what == "cut")]
    return [at - since for since, at in zip(ready, (at for what, at in told if what == "started"), strict=True)]


@pytest.mark.serial
async def test_a_rolling_restart_costs_no_attempt_and_holds_up_no_job(b, offload):
    """Three workers are stopped and replaced in turn: every job succeeds as attempt 1, and none starts late."""
    workers = [offload(shutdown_grace=GRACE) for _ in range(WORKERS)]
    for worker in workers:
        await worker.until("worker_started")
    stream, codes = Stream(b), []
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        for worker in workers:
            worker.kill(signal.SIGTERM)
            codes.append(await worker.ended())
            await offload(shutdown_grace=GRACE).until("worker_started")
        stream.is_over.set()
    records = [await b.ended(job_id) for job_id in stream.stored]
    told = read(b.artifacts.parent / "waits")
    waits = [wait for job_id, at in stream.stored.items() for wait in waits_of(at, told[job_id])]
    happened = Counter(what for each in told.values() for what, _ in each)

    assert codes == [0] * WORKERS
    assert len(records) > 100
    assert {(record.status, record.attempt, record.attempts) for record in records} == {(Status.SUCCEEDED, 1, ())}
    assert happened["done"] == len(records)
    assert happened["cut"] > 0
    assert max(waits) < GRACE
