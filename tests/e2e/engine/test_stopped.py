"""A worker that is told to stop: it waits for its grace, puts back what is left, and ends with 0."""

import signal

import pytest

from offload.domain.states import Status


async def holding(b, worker):
    job_id = await b.enqueue("e.holds", until="go")
    await worker.until("job_started")
    return job_id


async def test_a_stopping_worker_lets_its_jobs_end(b, offload):
    """What ends within the grace is recorded; nothing new is taken."""
    worker = offload(shutdown_grace=60)
    job_id = await holding(b, worker)
    worker.kill(signal.SIGTERM)
    await worker.until("worker_stopping")
    waiting = await b.enqueue("e.ok")
    (b.artifacts.parent / "go").touch()
    code = await worker.ended()
    record, left = await b.inspector.get(job_id), await b.inspector.get(waiting)

    assert (code, record.status, record.result) == (0, Status.SUCCEEDED, b"1")
    assert left.status is Status.QUEUED


async def test_what_outlasts_the_grace_is_put_back_at_once(b, offload):
    """Not after a lease, and without costing an attempt; the exit code is 0."""
    worker = offload(shutdown_grace=1, lease_seconds=60)
    job_id = await holding(b, worker)
    worker.kill(signal.SIGTERM)
    code = await worker.ended()
    record = await b.inspector.get(job_id)
    (b.artifacts.parent / "go").touch()
    offload()
    again = await b.ended(job_id)

    assert (code, record.status, record.attempts) == (0, Status.QUEUED, ())
    assert again.result == b"1"


@pytest.mark.parametrize("start", ["offload", "arq"])
async def test_a_second_signal_stops_at_once(b, offload, arq, start):
    """Whoever asks twice does not want to wait."""
    worker = {"offload": offload, "arq": arq}[start](shutdown_grace=60)
    job_id = await holding(b, worker)
    worker.kill(signal.SIGTERM)
    await worker.until("worker_stopping")
    worker.kill(signal.SIGTERM)
    code = await worker.ended()
    record = await b.inspector.get(job_id)

    assert (code, record.status, record.attempts) == (0, Status.QUEUED, ())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_whole_group_is_one_signal(b, offload, number):
    """Ctrl-C at a terminal and systemd reach supervisor and worker: that is not asking twice."""
    worker = offload(shutdown_grace=60)
    job_id = await holding(b, worker)
    worker.signal_all(number)
    await worker.until("worker_stopping")
    (b.artifacts.parent / "go").touch()
    code = await worker.ended()
    record = await b.inspector.get(job_id)

    assert (code, record.status, record.result) == (0, Status.SUCCEEDED, b"1")


async def test_a_broken_job_module_ends_the_worker_with_its_traceback(offload, project):
    """Exit code 3, the user's own line, and no second try."""
    (project / "e2e_broken.py").write_text("import os\n\nprices = {}['eggs']\n")
    worker = offload(jobs="e2e_broken")
    code = await worker.ended()
    said = "\n".join(str(line["event"]) for line in worker.log)

    assert code == 3
    assert "prices = {}['eggs']" in said
    assert "e2e_broken" in said
    assert "importlib" not in said


async def test_a_worker_without_redis_says_so_and_ends(offload, tmp_path):
    """One line, exit code 3."""
    worker = offload(redis_url=f"unix://{tmp_path}/no.sock")
    code = await worker.ended(30)

    assert code == 3
    assert [line["event"] for line in worker.log if line.get("plain")][-1].startswith("error: no Redis at")


async def test_a_burst_ends_when_the_queues_are_empty(b, offload):
    """With 0, the jobs done."""
    ids = [await b.enqueue("e.ok") for _ in range(20)]
    worker = offload("--burst")
    code = await worker.ended()
    records = [await b.inspector.get(job_id) for job_id in ids]

    assert (code, {record.status for record in records}) == (0, {Status.SUCCEEDED})
