"""Jobs that wait in their worker for a thread or a process."""

import time

from offload import JobContext, job
from offload.domain.states import Status
from offload.worker.executors import executors


@job(name="w.naps", timeout=0.5, max_tries=1)
def naps(ctx: JobContext) -> float:
    time.sleep(0.2)
    return (ctx.deadline.timestamp() - time.time()) if ctx.deadline else 0.0


@job(name="w.quick")
async def quick(ctx: JobContext) -> None:
    """Make the queue one that async jobs share, so that the worker takes more than its threads can run."""


async def test_the_time_of_a_job_is_counted_from_its_thread(bench, monkeypatch):
    """Jobs that wait for a thread longer than their timeout run all the same, each with its whole time before it."""
    monkeypatch.setattr(executors, "default_threads", lambda: 1)
    async with bench(naps, quick) as b, b.worker():
        ids = [await b.enqueue("w.naps") for _ in range(6)]
        records = [await b.ended(job_id) for job_id in ids]

    assert [r.status for r in records] == [Status.SUCCEEDED] * 6
    assert all(0.1 < float(r.result) < 0.4 for r in records)


async def test_a_job_aborted_while_it_waits_for_a_thread_does_not_start(bench, monkeypatch):
    """It is aborted when a thread takes it up."""
    monkeypatch.setattr(executors, "default_threads", lambda: 1)
    async with bench(naps, quick) as b, b.worker():
        ids = [await b.enqueue("w.naps") for _ in range(3)]
        await b.entered(ids[2], "running")
        await b.client.abort(ids[2])
        records = [await b.ended(job_id) for job_id in ids]

    assert [r.status for r in records] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.ABORTED]
