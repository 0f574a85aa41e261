"""A worker whose event loop never comes back: only from outside can its jobs' timeouts be enforced."""

import textwrap

from support.engine import bench_on, offload_worker

from service.domain.states import Status
from service.loader import load

JOBS = """
import asyncio, time
from service import JobContext, job

@job(timeout=0.5, max_tries=2)
async def hang(ctx: JobContext) -> None:
    time.sleep(60)

@job
async def innocent(ctx: JobContext) -> str:
    await asyncio.sleep(0.8)
    return "done"
"""


async def test_a_stuck_worker_is_dumped_killed_and_replaced(redis, redis_server, tmp_path, monkeypatch):
    """A job that holds the loop past its time costs its worker; the line is named, and other jobs go on elsewhere."""
    (tmp_path / "stuckjobs.py").write_text(textwrap.dedent(JOBS))
    monkeypatch.chdir(tmp_path)
    worker = offload_worker(redis_server.url, tmp_path, ["stuckjobs"], lease_seconds=1, stuck_grace=1)
    try:
        async with bench_on(redis_server.url, tmp_path / "artifacts", load(["stuckjobs"])) as b:
            await worker.until("worker_started")
            hang, innocent = await b.enqueue("stuckjobs.hang"), await b.enqueue("stuckjobs.innocent")
            said = await worker.until("worker_stuck")
            dead, done = await b.ended(hang, 40), await b.ended(innocent, 40)
            stalls, _ = await b.inspector.stalls(10)
    finally:
        worker.close()

    assert said["job_ids"] == [hang]
    assert 'stuckjobs.py", line 7 in hang' in said["stack"]
    assert (dead.status, dead.error.type) == (Status.DEAD, "WorkerLost")
    assert "event loop held for" in dead.attempts[0].error.message
    assert "line 7 in hang" in dead.attempts[0].error.traceback
    assert [(stall["job_id"], stall["function"], stall["line"]) for stall in stalls] == [
        (hang, "stuckjobs.hang", 7)
    ] * 2
    assert (stalls[0]["kind"], stalls[0]["code"]) == ("step", "time.sleep(60)")
    assert stalls[0]["held_ms"] > 1000
    assert "`time.sleep(60)` in " in stalls[0]["hint"]
    assert (done.status, done.result) == (Status.SUCCEEDED, b'"done"')
