"""The arq CLI runs our engine: burst, check, and a guardian as a child of the worker."""

import os
import signal

import pytest

from offload.domain.states import Status
from offload.store.jobs.codec import Codec
from offload.store.jobs.enqueue import JobStore, NewJob
from support.processes import gone

SETTINGS = """
import offload.arq
from arq.connections import RedisSettings


async def add(ctx, a, b):
    return a + b


class WorkerSettings:
    functions = [add]
    redis_settings = RedisSettings(unix_socket_path={path!r})
"""


async def test_a_burst_runs_what_is_there(b, arq):
    """`arq jobs.WorkerSettings --burst` with the modules that OFFLOAD_JOBS names."""
    ids = [await b.enqueue("e.ok") for _ in range(5)]
    code = await arq("--burst").ended()
    records = [await b.inspector.get(job_id) for job_id in ids]

    assert (code, {record.status for record in records}) == (0, {Status.SUCCEEDED})


async def test_a_worker_settings_of_ones_own_runs_on_our_engine(b, arq, project, redis_server):
    """One import is all that it needs; arq's own pickled jobs run."""
    (project / "e2e_own.py").write_text(SETTINGS.format(path=str(redis_server.socket_path)))
    codec = Codec.named("pickle")
    job = NewJob("own", "default", 0, codec.encode_job("add", {"a": 1, "b": 2}, 1_700_000_000_000), {"function": "add"})
    await JobStore(b.redis, codec).enqueue(job)
    code = await arq("--burst", of="e2e_own.WorkerSettings").ended()
    stored = codec.decode_result(await b.redis.get("arq:result:own"))

    assert (code, stored.success, stored.value) == (0, True, 3)


async def test_check_tells_whether_a_worker_is_there(b, arq):
    """0 with a live worker, 1 without, as health checks expect."""
    without = await arq("--check").ended()
    worker = arq()
    await b.run("e.ok")
    beside = await arq("--check").ended()
    worker.kill(signal.SIGTERM)
    stopped = await worker.ended()
    after = await arq("--check").ended()

    assert (without, beside, stopped, after) == (1, 0, 0, 1)


@pytest.mark.serial
async def test_a_killed_workers_jobs_are_given_back_at_once_by_its_guardian(b, arq):
    """The guardian outlives the worker by just that, and nobody waits for the lease."""
    first = arq(lease_seconds=60)
    await first.until("guardian_started")
    job_id = await b.enqueue("e.hangs_once")
    await first.until("job_started")
    second = arq(lease_seconds=60)
    await second.until("worker_started")
    first.signal_all(signal.SIGKILL)
    record = await b.ended(job_id)
    [lost] = record.attempts

    assert (record.status, record.result, lost.error.type) == (Status.SUCCEEDED, b"2", "WorkerLost")
    assert record.started_ms - lost.ended_ms < 1000
    assert lost.ended_ms - lost.started_ms < 20_000


async def test_a_killed_guardian_is_replaced(b, arq):
    """The worker starts another, renews meanwhile, and its job notices nothing."""
    worker = arq(lease_seconds=2.0)
    first = await worker.until("guardian_started")
    job_id = await b.enqueue("e.holds", until="go")
    await worker.until("job_started")
    os.kill(first["guardian"], signal.SIGKILL)
    await gone(first["guardian"])
    second = await worker.until("guardian_started", 2)
    (b.artifacts.parent / "go").touch()
    record = await b.ended(job_id)

    assert second["guardian"] != first["guardian"]
    assert (record.status, record.result, record.attempts) == (Status.SUCCEEDED, b"1", ())


async def test_a_worker_that_lost_its_threads_ends_in_order(b, arq):
    """Nobody but who started it can start another; the log says why it went."""
    worker = arq(max_leaked_threads=1, abort_grace=0.05)
    await worker.until("guardian_started")
    job_id = await b.enqueue("e.deaf")
    record = await b.ended(job_id)
    said = await worker.until("worker_recycling")

    assert await worker.ended() == 0
    assert (record.error.type, said["leaked"]) == ("AttemptTimeout", 1)
