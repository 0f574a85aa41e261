"""A Redis that answers and does not write: read-only, or out of memory. Workers and API stay, and go on alone."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from integration.api.support import calling, is_problem, settings_for
from offload import Backoff, JobContext, job
from offload.domain.errors import Unavailable
from offload.domain.states import Status
from offload.store import keys
from offload.store.connection import connection
from offload.store.connection.blocking import portable
from offload.store.guardian import LeaseGuard
from offload.store.jobs import leases
from support.engine import bench_on
from support.server import restartable

REFUSALS = {
    "read-only": ("REPLICAOF", "127.0.0.1", "1"),
    "out of memory": ("CONFIG", "SET", "maxmemory", "1"),
}
NORMAL = {
    "read-only": ("REPLICAOF", "NO", "ONE"),
    "out of memory": ("CONFIG", "SET", "maxmemory", "0"),
}


@pytest.fixture(scope="module")
def server():
    """A server that only these tests know."""
    with restartable() as made:
        yield made


@pytest.fixture
def gate():
    """What the job waits for."""
    return asyncio.Event()


@pytest.fixture
async def b(server, gate, tmp_path):
    """A bench with a job that waits and one that does not."""

    @job(name="o.waits")
    async def waits(ctx: JobContext) -> int:
        await gate.wait()
        return ctx.attempt

    @job(name="o.ok")
    async def ok(ctx: JobContext) -> int:
        return ctx.attempt

    @job(name="o.fails", max_tries=2, backoff=Backoff(base=0.01))
    async def fails(ctx: JobContext) -> None:
        raise ValueError("no")

    async with bench_on(server.url, tmp_path, [waits, ok, fails]) as made:
        await made.redis.flushall()
        yield made
        for command in NORMAL.values():
            await made.redis.execute_command(*command)


@pytest.fixture(params=list(REFUSALS))
def refusal(request):
    """One way of not writing."""
    return request.param


async def test_an_attempt_outlives_a_read_only_server(b, gate):
    """It ends meanwhile, and is written, once, though its lease ran out; the worker's log has two lines of it."""
    with capture_logs() as logged:
        async with b.worker(lease_seconds=0.3) as worker:
            job_id = await b.enqueue("o.waits")
            await b.entered(job_id, "running")
            await b.redis.execute_command(*REFUSALS["read-only"])
            gate.set()
            await asyncio.wait(list(worker.tasks.values()))
            await _logged(logged, "redis_unavailable")
            while await b.redis.exists(keys.ARQ_IN_PROGRESS + job_id):  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.01)
            await b.redis.execute_command(*NORMAL["read-only"])
            record, after = await b.ended(job_id), await b.run("o.ok")
            await _logged(logged, "redis_recovered")
    said = [line["event"] for line in logged if line["log_level"] in ("warning", "error") and "worker" in line]

    assert (record.status, record.result, record.attempts) == (Status.SUCCEEDED, b"1", ())
    assert after.status is Status.SUCCEEDED
    assert said == ["redis_unavailable", "redis_recovered"]


async def test_queues_are_emptied_without_memory(b, gate):
    """A worker, even one that starts then, runs what is there, failures included, since that frees memory."""
    ids = [await b.enqueue(name) for name in ["o.waits", "o.fails", *["o.ok"] * 20]]
    await b.redis.config_set("maxmemory", "1")
    async with b.worker():
        with pytest.raises(Unavailable):
            await b.enqueue("o.ok")
        gate.set()
        records = [await b.ended(job_id) for job_id in ids]

    assert [record.status for record in records] == [Status.SUCCEEDED, Status.DEAD, *[Status.SUCCEEDED] * 20]
    assert [len(record.attempts) for record in records] == [0, 2, *[0] * 20]
    assert await b.redis.zcard("arq:queue") == 0


async def test_leases_are_renewed_without_memory(b, server):
    """By worker and guardian: were they not, another claim would run the job a second time."""
    job_id = await b.enqueue("o.ok")
    about = {"slots": 1, "timeout_ms": 60_000, "grace_ms": 5_000, "queues": [("default", 1)]}
    await leases.claim(b.redis, "w1", 1, lease_ms=60_000, **about)
    guard = LeaseGuard(portable(connection.settings_of(server.url)), "w1", 90_000)
    await b.redis.config_set("maxmemory", "1")
    try:
        by_guardian = await asyncio.to_thread(guard.renew)
        left_ms = await b.redis.pttl(keys.ARQ_IN_PROGRESS + job_id)
        await b.redis.delete(keys.ARQ_IN_PROGRESS + job_id)  # as if it had run out
        by_worker = await leases.renew(b.redis, "w1", 90_000)
        taken_up = await b.redis.exists(keys.ARQ_IN_PROGRESS + job_id)
    finally:
        await b.redis.config_set("maxmemory", "0")
        guard.close()

    assert by_guardian[:2] == by_worker == ([], [])
    assert left_ms > 60_000
    assert taken_up


async def test_the_guardian_waits_for_a_read_only_server(b, server):
    """Its renewal is refused, which is no lost lease, and succeeds when Redis writes again."""
    job_id = await b.enqueue("o.ok")
    about = {"slots": 1, "timeout_ms": 60_000, "grace_ms": 5_000, "queues": [("default", 1)]}
    await leases.claim(b.redis, "w1", 1, lease_ms=60_000, **about)
    guard = LeaseGuard(portable(connection.settings_of(server.url)), "w1", 90_000)
    await b.redis.execute_command(*REFUSALS["read-only"])
    try:
        with pytest.raises(Unavailable):
            await asyncio.to_thread(guard.renew)
    finally:
        await b.redis.execute_command(*NORMAL["read-only"])
    again = await asyncio.to_thread(guard.renew)
    guard.close()

    assert again[:2] == ([], [])
    assert await b.redis.pttl(keys.ARQ_IN_PROGRESS + job_id) > 60_000


async def test_the_api_answers_at_once_and_serves_reads(b, server, tmp_path, refusal):
    """An enqueue is 503 with Retry-After, a look at a job 200, and many of them are two lines in the log."""
    job_id = await b.enqueue("o.ok")
    async with calling(settings_for(server.url, tmp_path), b.catalogue) as api:
        path = "/v1/functions/o.ok/jobs"
        with capture_logs() as logged:
            await b.redis.execute_command(*REFUSALS[refusal])
            started = time.monotonic()
            try:
                refused = [await api.post(path, json={}) for _ in range(20)]
                looked = await api.get(f"/v1/jobs/{job_id}")
                took = time.monotonic() - started
            finally:
                await b.redis.execute_command(*NORMAL[refusal])
            taken = await api.post(path, json={})
    said = [line["event"] for line in logged if line["event"].startswith("redis_")]

    assert all(is_problem(one, 503, "redis-unavailable") and one.headers["retry-after"].isdigit() for one in refused)
    assert (looked.status_code, taken.status_code) == (200, 202)
    assert took < 1
    assert said == ["redis_unavailable", "redis_recovered"]


async def test_a_connection_that_meets_a_replica_is_made_anew(b):
    """Its address may lead to the new master by then: a name, a proxy, a sentinel."""
    before = await b.redis.client_id()
    await b.redis.execute_command(*REFUSALS["read-only"])
    try:
        with pytest.raises(Unavailable):
            await b.enqueue("o.ok")
        after = await b.redis.client_id()
    finally:
        await b.redis.execute_command(*NORMAL["read-only"])

    assert after != before


async def _logged(lines, event):
    async with asyncio.timeout(10):
        while not any(line["event"] == event and "worker" in line for line in lines):  # noqa: ASYNC110 - a log tells nobody
            await asyncio.sleep(0.01)
