"""What a worker says of jobs that hold its event loop: real jobs, a real thread beside the loop, real Redis."""

import asyncio
import hashlib
import inspect
import time
from typing import Annotated

import pytest
import structlog
from pydantic import AfterValidator

from offload import JobContext, job
from offload.store.fleet import stalls


@job(name="t.sleeps")
async def sleeps(ctx: JobContext, seconds: float) -> None:
    """Hold the loop in a system call, after a step that does not."""
    await asyncio.sleep(0.01)
    time.sleep(seconds)  # noqa: ASYNC251 - the line that is to be named


@job(name="t.child")
async def child(ctx: JobContext) -> None:
    """Hold the loop in a task of the job's own."""

    async def inner() -> None:
        await asyncio.sleep(0.01)
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", 1_500_000)

    await asyncio.gather(inner(), asyncio.sleep(0.01))


@job(name="t.innocent")
async def innocent(ctx: JobContext, seconds: float) -> None:
    """Take long, and hold nothing."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:  # noqa: ASYNC110 - many steps, each short
        await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def may_block(blocking):
    """These jobs block on purpose."""
    blocking.deactivate()


async def stalled(redis, job_id):
    """Return the record of what a job held the loop with when it is there; others may be of the tests' own process."""
    async with asyncio.timeout(10):
        while True:
            for record in (await stalls.list_stalls(redis, 100, None))[0]:
                if record["job_id"] == job_id:
                    return record
            await asyncio.sleep(0.02)


def line_of(function, text):
    """Return the number of the line of a function that has the text."""
    lines, first = inspect.getsourcelines(function.fn)
    return first + next(n for n, line in enumerate(lines) if text in line)


async def test_a_job_that_holds_the_loop_is_named_with_its_line(bench):
    """The record has job, function, file, line, the call, how long, and what to do instead."""
    with structlog.testing.capture_logs() as log:
        async with bench(sleeps, innocent) as b, b.worker():
            other = await b.enqueue("t.innocent", seconds=0.5)
            job_id = await b.enqueue("t.sleeps", seconds=0.25)
            await b.ended(job_id)
            record = await stalled(b.redis, job_id)
            await b.ended(other)

    assert (record["kind"], record["job_id"], record["function"]) == ("step", job_id, "t.sleeps")
    assert record["file"] == __file__
    assert record["line"] == line_of(sleeps, "time.sleep(seconds)")
    assert record["call"] == "time.sleep(seconds)"
    assert 250 <= record["held_ms"] < 1000
    assert "await asyncio.sleep" in record["hint"]
    assert [job_id] == [line["job_id"] for line in log if line["event"] == "loop_stalled" and line.get("job_id")]


async def test_a_task_of_the_job_counts_as_the_job(bench):
    """What a job starts in a TaskGroup or with gather is the job's."""
    async with bench(child) as b, b.worker():
        job_id = await b.enqueue("t.child")
        await b.ended(job_id)
        record = await stalled(b.redis, job_id)

    assert (record["job_id"], record["function"]) == (job_id, "t.child")
    assert record["line"] == line_of(child, "pbkdf2_hmac")


async def test_a_job_says_what_it_took_of_the_loop(bench):
    """In its document: the time in all, the number of steps, the longest one."""
    async with bench(sleeps, innocent) as b, b.worker():
        held = await b.run("t.sleeps", seconds=0.12)
        light = await b.run("t.innocent", seconds=0.1)

    assert 120 <= held.max_step_ms <= held.loop_ms < 500
    assert held.steps >= 2
    assert light.loop_ms < 60
    assert light.steps > 5


async def test_what_lasts_is_told_while_it_lasts(bench):
    """After a second, before the loop is back."""
    with structlog.testing.capture_logs() as log:
        async with bench(sleeps) as b, b.worker():
            job_id = await b.enqueue("t.sleeps", seconds=1.3)
            await b.ended(job_id)
            await stalled(b.redis, job_id)
    events = [line["event"] for line in log if line.get("job_id") == job_id and line["event"].startswith("loop_")]

    assert events == ["loop_blocked", "loop_stalled"]


async def test_who_holds_nothing_is_not_blamed(bench, redis):
    """Many jobs of short steps make no record that names one."""
    async with bench(innocent) as b, b.worker():
        ids = [await b.enqueue("t.innocent", seconds=0.6) for _ in range(20)]
        for job_id in ids:
            await b.ended(job_id)
    found, _ = await stalls.list_stalls(redis, 100, None)

    assert [one for one in found if one["kind"] in ("step", "callback")] == []


async def test_a_validator_that_blocks_is_the_jobs_own_step(bench, redis):
    """What checking its arguments takes counts for the job, and the validator's line is named."""
    looked = []

    def check(value: str) -> str:
        looked.append(value)
        if len(looked) == 2:  # the first look was at its enqueue
            time.sleep(0.25)
        return value

    @job(name="t.checks")
    async def checks(ctx: JobContext, what: Annotated[str, AfterValidator(check)]) -> str:
        return what

    async with bench(checks) as b, b.worker():
        record = await b.run("t.checks", what="x")
        stall = await stalled(redis, record.id)

    assert record.loop_ms >= 250
    assert (stall["kind"], stall["function"], stall["call"]) == ("step", "t.checks", "time.sleep(0.25)")
