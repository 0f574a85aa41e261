"""Redis goes away while jobs run: attempts are kept, and their endings are written when it is back."""

import asyncio
import contextlib

from offload import JobContext, job
from offload.domain.catalogue import Catalogue
from offload.domain.errors import Unavailable
from offload.domain.states import Status
from offload.store.connection.connection import settings_of
from offload.store.jobs.durability import Confirm
from support.engine import bench_on
from support.server import restartable


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


async def test_a_worker_that_was_cut_off_does_not_write_over_its_successor(redis, redis_server, tmp_path):
    """Where another worker took the job meanwhile, the attempt of the first is stopped, and its ending not written."""
    started, gates = [], [asyncio.Event(), asyncio.Event()]

    @job(name="o.waits")
    async def waits(ctx: JobContext) -> int:
        started.append(ctx.attempt)
        await gates[ctx.attempt - 1].wait()
        return ctx.attempt

    async with bench_on(redis_server.url, tmp_path, [waits]) as b, Cable(redis_server.url, tmp_path / "s") as cable:
        first = b.worker(lease_seconds=0.5, redis_settings=settings_of(cable.url))
        async with first as cut_off:
            job_id = await b.enqueue("o.waits")
            await b.entered(job_id, "running")
            cable.cut()
            async with b.worker(lease_seconds=60):
                while started != [1, 2]:  # noqa: ASYNC110 - another worker's lease has to run out
                    await asyncio.sleep(0.01)
                gates[0].set()
                await asyncio.wait(list(cut_off.tasks.values()))
                cable.mend()
                await cut_off._engine.finisher.drained()
                refused = cut_off._engine.finisher.refused
                between = await b.inspector.get(job_id)
                gates[1].set()
                record = await b.ended(job_id)

    assert (refused, between.status) == (1, Status.RUNNING)
    assert (record.status, record.result, started) == (Status.SUCCEEDED, b"2", [1, 2])
    assert [one.error.type for one in record.attempts] == ["WorkerLost"]


async def test_what_a_job_enqueues_is_confirmed_too(bench):
    """Where replicas are asked for and none confirms, the attempt learns that its child is stored but not safe."""

    @job(name="o.child")
    async def child(ctx: JobContext) -> None:
        """Do nothing."""

    @job(name="o.parent", max_tries=1)
    async def parent(ctx: JobContext) -> None:
        await ctx.enqueue("o.child")

    async with bench(child, parent) as b, b.worker(confirm=Confirm(replicas=1, timeout=0.05)):
        record = await b.run("o.parent")

    assert record.error.type == "Unconfirmed"
    assert "is stored and may run, but 0 of 1 replicas" in record.error.message


class Cable:
    """A way to a server that can be cut."""

    def __init__(self, url, path):
        self._server, self._path = url.removeprefix("unix://"), path
        self.url = f"unix://{path}"
        self._is_cut = False
        self._ends = set()

    async def __aenter__(self):
        self._listener = await asyncio.start_unix_server(self._connect, self._path)
        return self

    async def __aexit__(self, *_):
        self.cut()
        self._listener.close()
        await self._listener.wait_closed()

    def cut(self):
        """Close every connection, and let none be made."""
        self._is_cut = True
        for end in self._ends:
            end.close()

    def mend(self):
        """Let connections be made again."""
        self._is_cut = False

    async def _connect(self, reader, writer):
        self._ends.add(writer)
        if self._is_cut:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_unix_connection(self._server)
        self._ends.add(far_writer)
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))


async def pass_on(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


async def _back(bench, job_id):
    """The job's record as soon as Redis serves again and the job has ended."""
    while True:
        try:
            return await bench.ended(job_id)
        except Unavailable:
            await asyncio.sleep(0.02)
