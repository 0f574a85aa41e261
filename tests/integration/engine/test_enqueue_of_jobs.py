"""`ctx.enqueue` of jobs in threads and processes, while Redis or the worker's event loop does not answer."""

import asyncio
import time
from pathlib import Path

import orjson
import pytest

from offload import JobContext, Queue, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.errors import MaybeEnqueued, Unavailable
from offload.domain.filters import Filter
from offload.domain.functions import EnqueueOptions
from offload.domain.states import Status
from offload.store.connection.connection import client, settings_of
from offload.worker.attempt.loop_call import Unfinished, call_on_loop
from support.engine import bench_on
from support.proxy import Proxy

_ANSWER_TIMEOUT = 0.3  # of the worker's connection to Redis


@job(name="q.child", queue="others")
async def child(ctx: JobContext) -> None:
    """Run on no worker here."""


@job(name="q.repeats_in_thread", runs_in="thread", queue="work", max_tries=1)
def repeats_in_thread(ctx: JobContext, gate: Path) -> list[str]:
    return enqueue_until_stored(ctx, gate)


@job(name="q.repeats_in_process", runs_in="process", queue="work", max_tries=1)
def repeats_in_process(ctx: JobContext, gate: Path) -> list[str]:
    return enqueue_until_stored(ctx, gate)


@job(name="q.once_in_thread", runs_in="thread", queue="work", max_tries=1)
def once_in_thread(ctx: JobContext, gate: Path) -> str:
    return enqueue_once(ctx, gate)


@job(name="q.once_in_process", runs_in="process", queue="work", max_tries=1)
def once_in_process(ctx: JobContext, gate: Path) -> str:
    return enqueue_once(ctx, gate)


def enqueue_until_stored(ctx: JobContext, gate: Path) -> list[str]:
    """Enqueue when the gate is open, then again and again by the id in the error; return all ids and the error."""
    wait_for(gate)
    try:
        ctx.enqueue("q.child")
    except MaybeEnqueued as error:
        first, text = error.id, str(error)
    gate.with_suffix(".failed").touch()
    while True:
        try:
            return [first, ctx.enqueue("q.child", EnqueueOptions(job_id=first)).id, text]
        except MaybeEnqueued:
            time.sleep(0.05)


def enqueue_once(ctx: JobContext, gate: Path) -> str:
    """Enqueue when the gate is open; return the error."""
    wait_for(gate)
    try:
        ctx.enqueue("q.child")
    except Unavailable as error:
        return f"{type(error).__name__}: {error}"
    return "enqueued"


def wait_for(gate: Path) -> None:
    """Return when the gate is open: a file, which a thread and a process can both see."""
    gate.with_suffix(".ready").touch()
    while not gate.exists():
        time.sleep(0.005)


def catalogue() -> Catalogue:
    functions = [child, repeats_in_thread, repeats_in_process, once_in_thread, once_in_process]
    return Catalogue(of_functions(functions), {"work": Queue("work", max_running=1)})


@pytest.mark.parametrize("place", ["thread", "process"])
async def test_what_is_enqueued_while_redis_hangs_is_enqueued_once_by_a_repetition_with_its_id(
    redis_server, redis, tmp_path, place
):
    """No answer came, so the error says that it may be stored; it is, and the id in the error finds it."""
    gate = tmp_path / "gate"
    proxy = Proxy(str(redis_server.socket_path))
    async with proxy.running(), bench_on(redis_server.url, tmp_path / "artifacts", catalogue()) as b:
        pool = client(settings_of(proxy.url), answer_timeout=_ANSWER_TIMEOUT)
        async with b.worker(redis_pool=pool, redis_settings=settings_of(proxy.url), queues=["work"], lease_seconds=120):
            job_id = await b.enqueue(f"q.repeats_in_{place}", gate=gate)
            await exists(gate.with_suffix(".ready"))
            proxy.block()
            gate.touch()
            await exists(gate.with_suffix(".failed"))
            proxy.unblock()
            record = await b.ended(job_id)
            children = await b.inspector.list_jobs(Filter(function="q.child"))

    assert record.status is Status.SUCCEEDED, record.error
    first, second, text = orjson.loads(record.result)
    assert f"it is not known whether job {first} was enqueued" in text
    assert [one.id for one in children.items] == [first] == [second]


@pytest.mark.parametrize("place", ["thread", "process"])
async def test_what_the_event_loop_has_not_taken_up_in_time_is_never_enqueued(bench, tmp_path, place, monkeypatch):
    """The caller has been told that it failed, so nothing is enqueued when the loop is free again."""
    monkeypatch.setattr("offload.worker.attempt.ports._BEGIN_TIMEOUT", 0.1)
    gate = tmp_path / "gate"
    async with bench(catalogue=catalogue()) as b, b.worker(queues=["work"], lease_seconds=120):
        job_id = await b.enqueue(f"q.once_in_{place}", gate=gate)
        await exists(gate.with_suffix(".ready"))
        gate.touch()
        hold_the_loop(1.0)
        record = await b.ended(job_id)
        children = await b.inspector.list_jobs(Filter(function="q.child"))

    assert record.status is Status.SUCCEEDED, record.error
    assert orjson.loads(record.result).startswith("Unavailable: the worker's event loop did not take it up")
    assert children.items == ()


async def test_a_call_that_has_begun_is_awaited_and_then_unfinished():
    """Its caller is told that it is not known, unless its end comes in the time that is left."""
    loop, gate = asyncio.get_running_loop(), asyncio.Event()

    async def opens() -> str:
        await gate.wait()
        return "done"

    with pytest.raises(Unfinished):
        await asyncio.to_thread(call_on_loop, opens(), loop, 0.5, 0.01)
    late = asyncio.create_task(asyncio.to_thread(call_on_loop, opens(), loop, 0.5, 10))
    await asyncio.sleep(0.6)
    gate.set()

    assert await late == "done"


def hold_the_loop(seconds: float) -> None:
    """Hold the event loop, which is also the worker's."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


async def exists(path: Path) -> None:
    """Return when there is such a file."""
    async with asyncio.timeout(60):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(0.005)
