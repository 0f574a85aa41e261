"""A real Sentinel makes a replica the master: API, worker and guardian go on with it, and nothing is run twice."""

import asyncio

import pytest

from integration.api.support import calling, is_problem, settings_for
from offload.domain.errors import Unavailable
from offload.domain.functions import EnqueueOptions
from offload.domain.states import Status
from offload.loader import load
from offload.store import keys
from support.engine import bench_on, offload_worker
from support.replicas import replicated

JOBS = "/v1/functions/e.ok/jobs"


@pytest.fixture
def redises():
    """A master and a replica under a sentinel, which all ask for passwords."""
    with replicated(sentinel=True) as made:
        yield made


@pytest.fixture
async def b(redises, project, monkeypatch):
    """A client and an inspector by way of the sentinel."""
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.delitem(__import__("sys").modules, "e2e_app", raising=False)
    async with bench_on(redises.sentinel_url, project / "artifacts", load(["e2e_app"])) as bench:
        yield bench


@pytest.fixture
async def api(redises, b, project):
    """The API, by way of the sentinel."""
    async with calling(settings_for(redises.sentinel_url, project), b.catalogue) as client:
        yield client


@pytest.fixture
def worker(redises, started, project):
    """A worker with its guardian, by way of the sentinel."""
    started.append(offload_worker(redises.sentinel_url, project, ["e2e_app"], lease_seconds=1))
    return started[-1]


async def test_a_master_that_dies_is_followed_to_its_successor(b, api, worker, redises):
    """What ran is finished once and what waited is run; the guardian renews there, and each process says two things."""
    job_id = await b.enqueue("e.holds", until="go")
    await worker.until("job_started")
    waiting = await b.client.enqueue("e.ok", {}, EnqueueOptions(delay=2))
    await asyncio.to_thread(redises.synced)
    redises.nodes[0].kill()
    away = await api.post(JOBS, json={})
    await asyncio.to_thread(redises.failed_over)
    await worker.until("redis_recovered", count=2)
    renewed = await b.redis.pttl(keys.ARQ_IN_PROGRESS + job_id)
    again = await reached(lambda: api.post(JOBS, json={}), lambda answer: answer.status_code == 202)
    (b.artifacts.parent / "go").touch()
    held, waited, later_job = [await b.ended(one) for one in (job_id, waiting.id, again.json()["id"])]
    said = [line["event"] for line in worker.log if str(line["event"]).startswith("redis_")]

    assert is_problem(away, 503, "redis-unavailable")
    assert renewed > 0
    assert (held.status, held.result, held.attempts) == (Status.SUCCEEDED, b"1", ())
    assert (waited.result, later_job.result) == (b"1", b"1")
    assert sorted(said) == ["redis_recovered"] * 2 + ["redis_unavailable"] * 2


async def test_a_master_that_becomes_a_replica_is_left(b, api, worker, redises):
    """Where the sentinel is told to fail over, the old master lives on; nobody writes to it, and the job ends once."""
    job_id = await b.enqueue("e.holds", until="go")
    await worker.until("job_started")
    await asyncio.to_thread(redises.synced)
    await asyncio.to_thread(redises.sentinel.redis.execute_command, "SENTINEL", "FAILOVER", "main")
    await asyncio.to_thread(redises.failed_over)
    (b.artifacts.parent / "go").touch()
    held = await reached(lambda: b.ended(job_id), lambda record: record.status.is_terminal)
    enqueued = await reached(lambda: api.post(JOBS, json={}), lambda answer: answer.status_code == 202)
    record = await b.ended(enqueued.json()["id"])

    assert (held.status, held.result, held.attempts) == (Status.SUCCEEDED, b"1", ())
    assert record.result == b"1"


async def reached(ask, is_right, timeout=20):
    """The first right answer, while the master changes."""
    async with asyncio.timeout(timeout):
        while True:
            try:
                if is_right(answer := await ask()):
                    return answer
            except Unavailable:
                pass
            await asyncio.sleep(0.05)
