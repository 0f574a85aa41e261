"""Job functions that somebody moved at run time: where they run, from when on, and who is told."""

import asyncio
import json
import os
import threading
import time

import pytest

from offload import JobContext, Queue, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.states import Status
from offload.operations import Operations
from offload.store import keys
from offload.store.fleet import overrides, workers


@job(name="o.where")
def where(ctx: JobContext, said: str) -> dict[str, object]:
    ctx.progress(0.5, said)
    ctx.artifact("a.txt", said.encode())
    return {"pid": os.getpid(), "thread": threading.current_thread().name, "said": said, "attempt": ctx.attempt}


@job(name="o.far", runs_in="process")
def far(ctx: JobContext) -> int:
    return os.getpid()


@job(name="o.holds", queue="few")
def holds(ctx: JobContext) -> int:
    while not ctx.aborted:
        ctx.progress(0.5)  # again and again: whoever waits for it may come late
        time.sleep(0.02)
    ctx.log.info("stopped", pid=os.getpid())
    ctx.raise_if_aborted()
    return 0


@job(name="o.async")
async def on_loop(ctx: JobContext) -> int:
    return os.getpid()


@pytest.fixture
def move(redis):
    """Move a function as an operator does."""

    async def moved(b, name, runs_in):
        return await Operations(redis, b.client, b.catalogue).move_function(name, runs_in, "ops")

    return moved


def result(record):
    """What a job returned."""
    return json.loads(record.result)


def ran_here(record):
    """Whether it ran in this process, as its log has it."""
    return record.log[0]["fields"]["pid"] == os.getpid()


async def overrides_of(worker):
    """The part of a worker that is asked here, when it has started as far as that."""
    async with asyncio.timeout(10):
        while worker._engine is None:  # noqa: ASYNC110 - it is there from one moment to the next
            await asyncio.sleep(0.005)
    return worker._engine.overrides


async def in_force(worker, name, runs_in):
    """Return when a worker would run a function there; a beat, every five seconds, is not waited for."""
    found = await overrides_of(worker)
    async with asyncio.timeout(4):
        while found._known[0][name].runs_in != runs_in:  # noqa: ASYNC110 - a dictionary tells nobody
            await asyncio.sleep(0.005)


async def test_a_thread_job_is_moved_into_a_process_and_back(bench, move):
    """Arguments, result, progress and artifacts go with it; null takes it back; nothing was restarted."""
    async with bench(where) as b, b.worker() as worker:
        before = await b.run("o.where", said="ä")
        await move(b, "o.where", "process")
        await in_force(worker, "o.where", "process")
        moved = await b.run("o.where", said="ö")
        await move(b, "o.where", None)
        await in_force(worker, "o.where", "thread")
        after = await b.run("o.where", said="ü")

    assert (result(before)["pid"], result(after)["pid"]) == (os.getpid(), os.getpid())
    assert result(moved)["pid"] != os.getpid()
    assert result(moved)["said"] == "ö"
    assert moved.progress.message == "ö"


async def test_a_process_job_is_moved_into_a_thread(bench, move):
    """The other way round."""
    async with bench(far) as b, b.worker() as worker:
        first = int((await b.run("o.far")).result)
        await move(b, "o.far", "thread")
        await in_force(worker, "o.far", "thread")
        second = int((await b.run("o.far")).result)

    assert first != os.getpid() == second


async def test_all_workers_are_told_and_what_starts_later_knows(bench, move, redis):
    """Each live one by a word in its inbox; one that starts reads them before it claims anything."""
    async with bench(where) as b:
        async with b.worker() as one, b.worker() as two:
            await move(b, "o.where", "process")
            await in_force(one, "o.where", "process")
            await in_force(two, "o.where", "process")
        async with b.worker():
            ended = await b.run("o.where", said="x")

    assert result(ended)["pid"] != os.getpid()


async def test_a_lost_word_is_made_good_by_the_next_beat(bench, redis):
    """A beat's answer has all overrides, so nothing that a worker did not hear is lost."""
    async with bench(where) as b, b.worker() as worker:
        await redis.hset(keys.OVERRIDES, "o.where", '{"runs_in": "process", "by": "ops", "at": 1}')  # nobody is told
        await (await overrides_of(worker)).hear(workers.heartbeat(redis, worker.worker_id, {}))
        ended = await b.run("o.where", said="x")

    assert result(ended)["pid"] != os.getpid()


async def test_an_old_answer_does_not_undo_a_newer_one(bench, redis):
    """The answer to a beat may come after that to a question which was asked later."""
    held = asyncio.Event()

    async def late():
        await held.wait()
        return {}

    async with bench(where) as b, b.worker() as worker:
        heard = await overrides_of(worker)
        slow = asyncio.create_task(heard.hear(late()))
        await asyncio.sleep(0)
        await overrides.set_override(redis, "o.where", "process", "ops")
        await heard.look()
        held.set()
        await slow
        moved = heard._known[0]["o.where"].runs_in

    assert moved == "process"


async def test_what_runs_is_left_alone(bench, move):
    """It goes on where it is, and can be stopped there as ever."""
    catalogue = Catalogue(of_functions([holds]), {"few": Queue("few", max_running=2)})
    async with bench(catalogue=catalogue) as b, b.worker(abort_grace=20) as worker:
        first = await b.enqueue("o.holds")
        await b.entered(first, "progress")
        await move(b, "o.holds", "process")
        await in_force(worker, "o.holds", "process")
        second = await b.enqueue("o.holds")
        await b.entered(second, "progress")
        for one in (first, second):
            await b.client.abort(one)
        ended = [await b.ended(one) for one in (first, second)]

    assert [one.status for one in ended] == [Status.ABORTED] * 2
    assert [ran_here(one) for one in ended] == [True, False]


async def test_an_override_that_cannot_hold_is_ignored(bench, redis):
    """The code of a function may have changed since: it runs where its code says, and the log says why."""
    await overrides.set_override(redis, "o.async", "process", "ops")
    async with bench(on_loop) as b, b.worker():
        ended = await b.run("o.async")

    assert int(ended.result) == os.getpid()


async def test_moving_twice_keeps_who_did_it_first(bench, move, redis):
    """As pausing does; only a change is one."""
    async with bench(where) as b:
        changes = [await move(b, "o.where", place) for place in ("process", "process", "thread", None, None)]
        await move(b, "o.where", "process")
        await overrides.set_override(redis, "o.where", "process", "another")
        found = (await b.inspector.overrides())["o.where"]

    assert changes == [True, False, True, True, False]
    assert (found.runs_in, found.by) == ("process", "ops")
