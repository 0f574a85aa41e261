"""One attempt: where it runs, what it may use, how it ends."""

import asyncio
import json
import os
import threading
import time

from offload import GiveUp, JobContext, Retry, job
from offload.domain.filters import Filter
from offload.domain.policy import Backoff
from offload.domain.states import Status

QUICK = Backoff(base=0.01, limit=0.02)


@job(name="t.add")
async def add(ctx: JobContext, a: int, b: int = 1) -> int:
    return a + b


@job(name="t.thread")
def in_thread(ctx: JobContext) -> str:
    return threading.current_thread().name


@job(name="t.process", runs_in="process")
def in_process(ctx: JobContext) -> int:
    return os.getpid()


@job(name="t.fails", max_tries=3, backoff=QUICK)
async def fails(ctx: JobContext, times: int) -> int:
    if ctx.attempt <= times:
        raise ValueError(f"attempt {ctx.attempt}")
    return ctx.attempt


@job(name="t.talks")
async def talks(ctx: JobContext) -> None:
    for n in range(300):
        ctx.log.info("line", n=n)
    ctx.log.warning("x" * 3_000, more="y" * 3_000)


@job(name="t.gives_up")
async def gives_up(ctx: JobContext) -> None:
    raise GiveUp("there is no such customer")


@job(name="t.retries_soon", max_tries=3)
async def retries_soon(ctx: JobContext) -> int:
    if ctx.attempt == 1:
        raise Retry("not yet", after=0.01)
    return ctx.attempt


@job(name="t.unserialisable", max_tries=3)
async def unserialisable(ctx: JobContext):
    return threading.Lock()


@job(name="t.speaks")
async def speaks(ctx: JobContext) -> str:
    ctx.progress(0.5, "half")
    ctx.log.warning("odd", count=3)
    ticket = await ctx.enqueue("t.add", a=1)
    return ticket.id


@job(name="t.speaks_in_process", runs_in="process")
def speaks_in_process(ctx: JobContext) -> dict[str, str]:
    ctx.progress(0.5, "half")
    ctx.log.warning("odd", count=3)
    artifact = ctx.artifact("note.txt", b"from a child")
    return {"job": ctx.enqueue("t.add", a=1).id, "artifact": artifact.id}


@job(name="t.sleeps", timeout=0.05, max_tries=2, backoff=QUICK)
async def sleeps(ctx: JobContext) -> None:
    await asyncio.sleep(60)


@job(name="t.waits")
async def waits(ctx: JobContext) -> None:
    await asyncio.sleep(60)


@job(name="t.waits_in_thread")
def waits_in_thread(ctx: JobContext) -> None:
    while True:
        ctx.raise_if_aborted()
        time.sleep(0.005)


@job(name="t.waits_in_process", runs_in="process")
def waits_in_process(ctx: JobContext) -> None:
    ctx.progress(0.1)
    time.sleep(60)


async def test_an_async_job_returns_its_result(bench):
    """An async job function gives its typed result back as JSON."""
    async with bench(add) as b, b.worker():
        record = await b.run("t.add", a=1, b=2)

    assert (record.status, record.result, record.attempt) == (Status.SUCCEEDED, b"3", 1)


async def test_a_def_runs_in_a_thread_and_process_jobs_in_a_child(bench):
    """A def runs in a thread of its queue, runs_in="process" in a process that is not the worker's."""
    async with bench(in_thread, in_process) as b, b.worker():
        thread, child = await b.run("t.thread"), await b.run("t.process")

    assert thread.result.startswith(b'"offload-default')
    assert int(child.result) != os.getpid()


async def test_a_failing_job_is_retried_until_it_succeeds(bench):
    """An ordinary exception is tried again; each failed attempt is kept with its error."""
    async with bench(fails) as b, b.worker():
        record = await b.run("t.fails", times=2)

    assert (record.status, record.result, record.attempt) == (Status.SUCCEEDED, b"3", 3)
    assert [a.error.message for a in record.attempts] == ["attempt 1", "attempt 2"]


async def test_a_job_out_of_attempts_is_dead_and_can_be_replayed(bench):
    """A job whose attempts are used up is dead with its error; a replay runs it again from attempt 1."""
    async with bench(fails) as b, b.worker():
        record = await b.run("t.fails", times=3)
        await b.client.retry(record.id)
        replayed = await b.ended(record.id)

    assert (record.status, record.error.type, record.error.message) == (Status.DEAD, "ValueError", "attempt 3")
    assert "raise ValueError" in record.error.traceback
    assert replayed.status is Status.DEAD
    assert len(replayed.attempts) == 6


async def test_give_up_ends_a_job_at_its_first_attempt(bench):
    """GiveUp makes the job dead with its reason."""
    async with bench(gives_up) as b, b.worker():
        record = await b.run("t.gives_up")

    assert (record.status, record.attempt, record.error.message) == (Status.DEAD, 1, "there is no such customer")


async def test_retry_says_when_to_run_again(bench):
    """Retry(after=...) overrules the backoff."""
    async with bench(retries_soon) as b, b.worker():
        record = await b.run("t.retries_soon")

    assert (record.result, record.attempts[0].error.message) == (b"2", "not yet")


async def test_a_result_that_json_cannot_carry_fails_the_job(bench):
    """The job is dead at its first attempt, and the reason names the type."""
    async with bench(unserialisable) as b, b.worker():
        record = await b.run("t.unserialisable")

    assert (record.status, record.attempt, record.error.type) == (Status.DEAD, 1, "ResultNotSerializable")
    assert "lock" in record.error.message


async def test_a_job_speaks_while_it_runs(bench):
    """Progress, log lines and jobs put in by a job are there when it has ended."""
    async with bench(speaks, add) as b, b.worker():
        record = await b.run("t.speaks")
        child = await b.ended(record.result.decode().strip('"'))

    assert (record.progress.fraction, record.progress.message) == (0.5, "half")
    assert [(line["message"], line["fields"]) for line in record.log] == [("odd", {"count": 3})]
    assert (child.result, child.parent) == (b"2", record.id)


async def test_a_child_process_speaks_the_same_way(bench):
    """Progress, log, enqueue and artifacts work from a process as they do on the loop."""
    async with bench(speaks_in_process, add) as b, b.worker():
        record = await b.run("t.speaks_in_process")
        said = json.loads(record.result)
        child = await b.ended(said["job"])
        artifact, path = await b.inspector.artifact(said["artifact"])

    assert (record.progress.fraction, record.log[0]["message"]) == (0.5, "odd")
    assert child.result == b"2"
    assert (artifact.name, path.read_bytes()) == ("note.txt", b"from a child")


async def test_a_timeout_is_a_failed_attempt(bench):
    """An attempt over its timeout is stopped, tried again, and dead in the end."""
    async with bench(sleeps) as b, b.worker():
        record = await b.run("t.sleeps")

    assert (record.status, record.attempt, record.error.type) == (Status.DEAD, 2, "AttemptTimeout")


async def test_aborting_stops_a_job_wherever_it_runs(bench):
    """An abort stops a job on the loop, in a thread that looks, and in a process, and each reads aborted."""
    async with bench(waits, waits_in_thread, waits_in_process) as b, b.worker(abort_grace=0.05):
        ids = [await b.enqueue(name) for name in ("t.waits", "t.waits_in_thread", "t.waits_in_process")]
        for job_id in ids:
            await b.entered(job_id, "running")
        said = [await b.client.abort(job_id) for job_id in ids]
        records = [await b.ended(job_id) for job_id in ids]

    assert said == ["aborting"] * 3
    assert [r.status for r in records] == [Status.ABORTED] * 3


async def test_a_waiting_job_is_aborted_at_once(bench):
    """A job that no worker has taken is aborted by the call itself, and leaves nothing in the queue."""
    async with bench(add) as b:
        job_id = await b.enqueue("t.add", a=1)
        said = await b.client.abort(job_id)
        record = await b.inspector.get(job_id)

    assert (said, record.status) == ("aborted", Status.ABORTED)


async def test_the_log_of_a_job_is_bounded(bench):
    """The last 200 lines are kept; of a line that is too long the beginning, with how long it was."""
    async with bench(talks) as b, b.worker():
        record = await b.run("t.talks")
    *lines, last = record.log

    assert [line["fields"]["n"] for line in lines] == list(range(101, 300))
    assert last["message"].startswith("xxx")
    assert last["message"].endswith(" bytes)")
    assert len(last["message"]) < 600
    assert last["fields"] == {}


async def test_jobs_that_failed_in_the_same_way_are_found_by_it(bench):
    """Each failed attempt has a fingerprint: of where it failed, whatever the message."""
    async with bench(fails, gives_up) as b, b.worker():
        dead = [await b.run("t.fails", times=9) for _ in range(2)]
        recovered = await b.run("t.fails", times=1)
        await b.run("t.gives_up")
        prints = {one.error.fingerprint for record in (*dead, recovered) for one in record.attempts}
        [found] = [await b.inspector.list_jobs(Filter(error=one)) for one in prints]

    assert [len(one.attempts) for one in (*dead, recovered)] == [3, 3, 1]
    assert dead[0].error.fingerprint in prints
    assert [one.id for one in found.items] == [recovered.id, dead[1].id, dead[0].id]
