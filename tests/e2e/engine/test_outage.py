"""Redis is away for several leases: no worker gives up, and no attempt is lost or made twice."""

import asyncio
import os
import signal

import pytest

from offload.domain.states import Status
from offload.loader import load
from support.engine import bench_on, offload_worker
from support.server import restartable

LEASE = 1.0
OUTAGE = 3 * LEASE  # as 30 s are to the lease of 10 s


@pytest.fixture
def server():
    """A server that keeps what it has on disk."""
    with restartable() as made:
        yield made


@pytest.fixture
async def b(server, project, monkeypatch):
    """A client and an inspector on it."""
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.delitem(__import__("sys").modules, "e2e_app", raising=False)
    async with bench_on(server.url, project / "artifacts", load(["e2e_app"])) as bench:
        yield bench


async def test_attempts_are_kept_through_an_outage_of_three_leases(b, server, started, project):
    """Two workers hold jobs; one ends meanwhile, one later; each runs once, and each process says two things of it."""
    workers = [offload_worker(server.url, project, ["e2e_app"], lease_seconds=LEASE, max_jobs=1) for _ in range(2)]
    started += workers
    ids = [await b.enqueue("e.holds", until=name) for name in ("meanwhile", "later")]
    for worker in workers:
        await worker.until("job_started")
    server.kill()
    (project / "meanwhile").touch()
    await asyncio.sleep(OUTAGE)  # this is what it is about
    await asyncio.to_thread(server.start)
    for worker in workers:
        await worker.until("redis_recovered", count=2)
    (project / "later").touch()
    records = [await b.ended(job_id) for job_id in ids]
    after = await b.run("e.ok")
    said = [
        sorted(str(line["event"]) for line in one.log if line.get("level") in ("warning", "error")) for one in workers
    ]
    lasted = [line["unavailable_s"] for one in workers for line in one.log if line["event"] == "redis_recovered"]

    assert [(one.status, one.result, one.attempts) for one in records] == [(Status.SUCCEEDED, b"1", ())] * 2
    assert after.status is Status.SUCCEEDED
    assert said == [["redis_recovered"] * 2 + ["redis_unavailable"] * 2] * 2
    assert all(OUTAGE * 0.8 < one < OUTAGE + 4 for one in lasted)


async def test_a_successor_that_finds_no_redis_is_followed_by_another(b, server, started, project):
    """A worker dies in an outage that outlasts its successor's patience: there is one again when Redis is back."""
    worker = offload_worker(server.url, project, ["e2e_app"], lease_seconds=LEASE)
    started.append(worker)
    await worker.until("worker_started")
    server.kill()
    for pid in worker.children():
        os.kill(pid, signal.SIGKILL)
    await worker.until("worker_died", count=2)
    await asyncio.to_thread(server.start)
    record = await b.run("e.ok")

    assert record.status is Status.SUCCEEDED
