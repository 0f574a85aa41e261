"""Redis goes away while jobs run: attempts are kept, and their endings are written when it is back."""

import asyncio

from support.engine import bench_on
from support.server import restartable

from service import JobContext, job
from service.domain.catalogue import Catalogue
from service.domain.errors import Unavailable
from service.domain.states import Status


async def test_a_job_that_ends_while_redis_is_away_is_written_once_when_it_is_back(tmp_path):
    """Its attempt goes on through the outage, and is neither lost nor run twice."""
    started, gate = [], asyncio.Event()

    @job(name="o.waits")
    async def waits(ctx: JobContext) -> str:
        started.append(ctx.attempt)
        await gate.wait()
        return "through"

    with restartable() as server:
        catalogue = Catalogue({"o.waits": waits})
        async with bench_on(server.url, tmp_path, catalogue) as b, b.worker(lease_seconds=1) as worker:
            job_id = await b.enqueue("o.waits")
            await b.entered(job_id, "running")
            await asyncio.to_thread(server.kill)
            gate.set()
            await asyncio.wait(list(worker.tasks.values()))
            await asyncio.to_thread(server.start)
            record = await _back(b, job_id)

    assert (record.status, record.result, record.attempt) == (Status.SUCCEEDED, b'"through"', 1)
    assert started == [1]


async def _back(bench, job_id):
    """The job's record as soon as Redis serves again and the job has ended."""
    while True:
        try:
            return await bench.ended(job_id)
        except Unavailable:
            await asyncio.sleep(0.02)
