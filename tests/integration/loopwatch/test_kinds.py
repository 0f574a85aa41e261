"""What a worker says of its loop when nobody's step is to blame, or the watch is off."""

import asyncio
import sys
import threading
import time

import pytest
import structlog

from offload import JobContext, job
from offload.store.fleet import stalls


@job(name="t.light")
async def light(ctx: JobContext) -> None:
    """Take next to nothing."""
    await asyncio.sleep(0)


@job(name="t.hog", runs_in="thread")
def hog(ctx: JobContext) -> None:
    """Compute in C, with the GIL."""
    sum(range(15_000_000))


@pytest.fixture(autouse=True)
def may_block(blocking):
    """What is tested here blocks on purpose."""
    blocking.deactivate()


async def recorded(redis, fits):
    """Return the newest record that fits when there is one."""
    async with asyncio.timeout(20):
        while True:
            for record in (await stalls.list_stalls(redis, 100, None))[0]:
                if fits(record):
                    return record
            await asyncio.sleep(0.02)


async def test_what_holds_the_loop_while_the_worker_starts_is_named_and_nobody_blamed(bench):
    """The watch begins before `on_startup`; the record has the line of the hook and no job."""

    async def hook(ctx):
        time.sleep(0.3)  # noqa: ASYNC251 - as an import that takes long

    async with bench(light) as b, b.worker(on_startup=hook):
        record = await recorded(b.redis, lambda one: one["call"] == "time.sleep(0.3)")

    assert (record["kind"], record["job_id"], record["function"]) == ("startup", None, None)
    assert record["file"] == __file__
    assert record["line"] == hook.__code__.co_firstlineno + 1
    assert "starting" in record["hint"]


async def test_a_thread_job_that_hogs_the_gil_is_the_suspect(bench):
    """No job on the loop is blamed; the thread's job and function stand under `suspects`."""
    ran = []

    async def hogged(b):
        while True:
            ran.append(await b.enqueue("t.hog"))
            await b.ended(ran[-1])

    async with bench(hog, light) as b, b.worker():
        hogging = asyncio.create_task(hogged(b))
        record = await recorded(b.redis, lambda one: one["suspects"])
        hogging.cancel()
        await asyncio.gather(hogging, return_exceptions=True)
        found, _ = await stalls.list_stalls(b.redis, 100, None)
    suspect = record["suspects"][0]

    assert record["kind"] == "gil-other-thread"
    assert suspect["function"] == "t.hog"
    assert "(suspected: t.hog)" in record["hint"]
    assert suspect["job_id"] in ran
    assert [one for one in found if one["kind"] == "step"] == []


async def test_a_worker_that_is_not_watched_has_no_watchdog(bench):
    """With OFFLOAD_STALL_MS=0: no thread beside the loop, and no account of it in the job's document."""
    before = watching()
    async with bench(light) as b, b.worker(stall_seconds=0):
        record = await b.run("t.light")
        meanwhile = watching()

    assert record.loop_ms is None
    assert meanwhile == before


async def test_a_python_without_gil_is_not_watched_and_says_so(bench, monkeypatch):
    """Reading another thread's stack may crash there, so the worker runs without."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    before = watching()
    with structlog.testing.capture_logs() as said:
        async with bench(light) as b, b.worker():
            record = await b.run("t.light")
            meanwhile = watching()

    assert (record.loop_ms, meanwhile) == (None, before)
    assert "loop_not_watched" in [line["event"] for line in said]


async def test_a_hook_that_fails_leaves_no_watch_behind(bench):
    """The worker closes what it had begun."""

    async def hook(ctx):
        raise RuntimeError("no")

    before = watching()
    async with bench(light) as b:
        worker = b.make_worker(on_startup=hook)
        with pytest.raises(RuntimeError, match="no"):
            await worker.async_run()
        await worker.close()

    assert watching() == before


def watching():
    """Return the threads that watch a loop; others of this process may be watched too."""
    return {one for one in threading.enumerate() if one.name in ("offload-watchdog", "offload-stalls")}
