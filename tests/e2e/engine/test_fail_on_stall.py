"""`offload worker --fail-on-stall`: a build learns by the exit code that a job held an event loop."""

import signal

from offload.domain.functions import EnqueueOptions


async def test_a_burst_whose_job_held_the_loop_fails(b, offload):
    """Exit code 1, and stderr names the line; the job itself has succeeded."""
    job_id = await b.enqueue("e.blocks", seconds=0.5)
    worker = offload("--burst", "--fail-on-stall")
    code = await worker.ended(30)
    said = "\n".join(line["event"] for line in worker.log if line.get("plain"))

    assert code == 1
    assert "stall of an event loop" in said
    assert "e.blocks at e2e_app.py:" in said
    assert "time.sleep(seconds)" in said
    assert (await b.ended(job_id)).stalls == 1


async def test_a_burst_whose_jobs_held_nothing_succeeds(b, offload):
    """Also where another worker was to blame before."""
    await b.enqueue("e.blocks", seconds=0.5)
    first = await offload("--burst").ended(30)
    await b.enqueue("e.ok")
    second = await offload("--burst", "--fail-on-stall").ended(30)

    assert (first, second) == (0, 0)


async def test_a_worker_that_is_stopped_fails_for_one_that_its_guardian_killed(b, offload):
    """It counts who held a loop for good, whose process is long gone; told to stop, it says so and exits with 1."""
    job_id = await b.enqueue("e.blocks", EnqueueOptions(timeout=0.5), seconds=60)
    worker = offload("--fail-on-stall", lease_seconds=1, stuck_grace=0.2)
    await worker.until("worker_stuck")
    await b.ended(job_id, 55)
    worker.kill(signal.SIGTERM)
    code = await worker.ended(30)

    assert code == 1
    assert any("e.blocks at e2e_app.py:" in line["event"] for line in worker.log if line.get("plain"))


async def test_nothing_can_be_found_while_nothing_is_watched(offload):
    """A build that would pass whatever happens is refused."""
    worker = offload("--burst", "--fail-on-stall", stall_ms=0)

    assert await worker.ended(30) == 2
