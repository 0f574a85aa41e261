"""A worker that dies, alone or with its guardian: its jobs run again, and the loss is on record."""

import asyncio
import os
import signal

import pytest

from offload.domain.states import Status
from support.processes import gone

LEASE = 2.0


async def test_a_killed_workers_job_runs_again_on_its_successor(b, offload):
    """The guardian starts another worker, which runs the job as attempt 2; the loss has signal and memory."""
    worker = offload()
    job_id = await b.enqueue("e.hangs_once")
    await worker.until("job_started")
    [pid] = worker.children()
    os.kill(pid, signal.SIGKILL)
    record = await b.ended(job_id)
    [lost] = record.attempts

    assert (record.status, record.result) == (Status.SUCCEEDED, b"2")
    assert (lost.attempt, lost.error.type) == (1, "WorkerLost")
    assert "was ended by SIGKILL" in lost.error.message
    assert "MiB" in lost.error.message
    assert lost.worker in lost.error.message
    assert lost.error.details["signal"] == "SIGKILL"
    assert lost.error.details["rss_bytes"] > 1_000_000
    assert lost.error.details["also_running_count"] == 0


@pytest.mark.serial
async def test_a_killed_workers_job_is_taken_at_once_by_another_worker(b, offload):
    """Nobody waits for a lease or a poll: the jobs are given back when the process has died."""
    first = offload(lease_seconds=60)
    job_id = await b.enqueue("e.hangs_once")
    await first.until("job_started")
    second = offload(lease_seconds=60)
    await second.until("worker_started")
    os.kill(first.children()[0], signal.SIGKILL)
    record = await b.ended(job_id)

    assert record.result == b"2"
    assert record.started_ms - record.attempts[0].ended_ms < 1000


@pytest.mark.serial
async def test_a_killed_machines_jobs_run_elsewhere_within_a_lease(b, offload):
    """Worker and guardian die together: the job is due when its lease is over, for whoever is there."""
    first = offload(lease_seconds=LEASE)
    job_id = await b.enqueue("e.hangs_once")
    await first.until("job_started")
    second = offload(lease_seconds=LEASE)
    await second.until("worker_started")
    first.signal_all(signal.SIGKILL)
    died = asyncio.get_running_loop().time()
    record = await b.ended(job_id)
    took = asyncio.get_running_loop().time() - died

    assert (record.status, record.result) == (Status.SUCCEEDED, b"2")
    assert record.attempts[0].error.type == "WorkerLost"
    assert "ran out" in record.attempts[0].error.message
    assert took < LEASE + 1


async def test_a_job_that_kills_its_worker_is_dead_after_its_tries(b, offload):
    """Twice, and no third time; the reason is the worker's loss, and other jobs run afterwards."""
    worker = offload()
    record = await b.run("e.kills")
    after = await b.run("e.ok")

    assert (record.status, record.attempt, record.error.type) == (Status.DEAD, 2, "WorkerLost")
    assert [a.error.type for a in record.attempts] == ["WorkerLost"] * 2
    assert after.status is Status.SUCCEEDED
    assert len([line for line in worker.log if line.get("event") == "worker_died"]) == 2


async def test_a_worker_that_lost_its_guardian_goes_on_with_another(b, offload):
    """The supervisor is killed: the worker keeps its job and its lease, and is watched over again."""
    worker = offload(lease_seconds=LEASE)
    job_id = await b.enqueue("e.holds", until="go")
    await worker.until("job_started")
    [pid] = worker.children()
    worker.kill(signal.SIGKILL)
    await worker.until("guardian_lost")
    await worker.until("guardian_started")
    before = await b.inspector.get(job_id)
    (b.artifacts.parent / "go").touch()
    record = await b.ended(job_id)
    os.kill(pid, signal.SIGTERM)
    await gone(pid)

    assert before.status is Status.RUNNING
    assert (record.status, record.result, record.attempts) == (Status.SUCCEEDED, b"1", ())


async def test_a_blocked_worker_is_not_taken_for_dead(b, offload):
    """A job that holds the loop for two leases is run once."""
    worker = offload(lease_seconds=1.0)
    await worker.until("worker_started")
    record = await b.run("e.blocks", seconds=2.5)

    assert (record.status, record.result, record.attempts) == (Status.SUCCEEDED, b"1", ())


async def test_a_killed_workers_children_do_not_outlive_it(b, offload):
    """A job in a process ends with its worker, and runs again."""
    worker = offload()
    job_id = await b.enqueue("e.child")
    record = await b.entered(job_id, "progress")
    os.kill(worker.children()[0], signal.SIGKILL)
    await gone(int(record.progress.message))
    again = await b.ended(job_id)

    assert again.result == b"2"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_worker_without_its_supervisor_takes_signals_itself(b, offload, number):
    """The first lets its jobs end, the second puts them back at once, costing no attempt."""
    worker = offload(shutdown_grace=60)
    job_id = await b.enqueue("e.holds", until="go")
    await worker.until("job_started")
    [pid] = worker.children()
    worker.kill(signal.SIGKILL)
    await worker.until("guardian_lost")
    os.kill(pid, number)
    await worker.until("worker_stopping")
    still = await b.inspector.get(job_id)
    os.kill(pid, number)
    await gone(pid)
    record = await b.inspector.get(job_id)

    assert still.status is Status.RUNNING
    assert (record.status, record.attempts) == (Status.QUEUED, ())


async def test_a_worker_that_lost_its_threads_is_replaced(b, offload):
    """It stops in order, and a fresh one takes its place without the pause for those that crash; no job is lost."""
    worker = offload(max_leaked_threads=2, abort_grace=0.05)
    first = await worker.until("worker_started")
    ids = [await b.enqueue("e.deaf") for _ in range(2)]
    await worker.until("worker_recycled")
    second = await worker.until("worker_started", 2)
    records = [await b.ended(one) for one in ids]
    after = await b.run("e.ok")
    leaked = [line for line in worker.log if line["event"] == "thread_leaked"]

    assert {line["job_id"] for line in leaked} == set(ids)
    assert all("e2e_app.py:" in line["at"] for line in leaked)
    assert [one.error.type for one in records] == ["AttemptTimeout"] * 2
    assert (after.worker, second["worker"] != first["worker"]) == (second["worker"], True)
    assert not [line for line in worker.log if line["event"] in ("worker_died", "worker_lost")]
