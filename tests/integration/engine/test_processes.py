"""Child processes and threads: who shares them, who is killed, who notices."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.forkserver import _forkserver
from pathlib import Path
from typing import Any

import orjson
import pytest

from offload import JobContext, Queue, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.errors import InvalidRequest, Unavailable
from offload.domain.functions import EnqueueOptions
from offload.domain.policy import Backoff
from offload.domain.states import Status
from support.processes import children_of, gone

QUICK = Backoff(base=0.01, limit=0.02)


@job(name="p.pid", runs_in="process", queue="cpu")
def pid(ctx: JobContext) -> int:
    return os.getpid()


@job(name="p.niceness", runs_in="process", queue="cpu")
def niceness(ctx: JobContext) -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


@job(name="p.dies", runs_in="process", queue="cpu", max_tries=2, backoff=QUICK)
def dies(ctx: JobContext, how: int) -> int:
    if ctx.attempt == 1:
        os.kill(os.getpid(), how)
    return ctx.attempt


@job(name="p.exits", runs_in="process", queue="cpu", max_tries=1)
def exits(ctx: JobContext, hard: bool) -> None:
    if hard:
        os._exit(7)
    raise SystemExit(7)


@job(name="p.sleeps", runs_in="process", queue="cpu")
def sleeps(ctx: JobContext, seconds: float) -> int:
    ctx.progress(0.5)
    time.sleep(seconds)
    return os.getpid()


@job(name="p.looks", runs_in="process", queue="cpu")
def looks(ctx: JobContext) -> str:
    ctx.progress(0.5)
    while not ctx.aborted:
        time.sleep(0.005)
    ctx.log.info("cleaned up")
    ctx.raise_if_aborted()
    return "not reached"


@job(name="p.raises", runs_in="process", queue="cpu", max_tries=2, backoff=QUICK)
def raises(ctx: JobContext) -> None:
    raise Unpicklable(threading.Lock())


class Unpicklable(Exception):
    pass


class OwnConstructor(Exception):
    def __init__(self, code: int, *, at: str) -> None:
        self.code = code
        super().__init__(f"{code} at {at}")


@job(name="p.enqueues", runs_in="process", queue="cpu", max_tries=1)
def enqueues(ctx: JobContext, function: str, args: dict[str, int]) -> list[str]:
    try:
        return ["enqueued", ctx.enqueue(function, **args).id]
    except InvalidRequest as error:
        return [type(error).__name__, str(error)]


@job(name="p.leaves", runs_in="process", queue="cpu", max_tries=1)
def leaves(ctx: JobContext) -> None:
    """Leave a thread behind that speaks when the next job runs."""

    def speak() -> None:
        left_behind.wait(20)
        ctx.log.info("from the job before")
        with contextlib.suppress(Unavailable):
            ctx.enqueue("p.pid")
        spoken.set()

    threading.Thread(target=speak, daemon=True).start()


@job(name="p.after", runs_in="process", queue="cpu", max_tries=1)
def after(ctx: JobContext) -> bool:
    left_behind.set()
    is_spoken = spoken.wait(20)
    ctx.log.info("my own")
    return is_spoken


left_behind, spoken = threading.Event(), threading.Event()  # of the child process


def raises_own() -> None:
    raise OwnConstructor(7, at="noon")


def returns_lock() -> Any:
    return threading.Lock()


@job(name="p.awkward")
async def awkward(ctx: JobContext) -> list[Any]:
    with pytest.raises(OwnConstructor) as own:
        await ctx.to_process(raises_own)
    with pytest.raises(TypeError, match="pickle"):
        await ctx.to_process(returns_lock)
    with pytest.raises(TypeError, match="pickle"):
        await ctx.to_process(square, threading.Lock())
    return [own.value.code, str(own.value), (await ctx.to_process(square, 3))[0]]


def square(n: int) -> tuple[int, int]:
    return n * n, os.getpid()


def breaks(n: int) -> None:
    raise KeyError(n)


def kills() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job(name="p.steps")
async def steps(ctx: JobContext) -> list[int]:
    in_thread = await ctx.to_thread(threading.get_ident)
    squared, child = await ctx.to_process(square, 7)
    with pytest.raises(KeyError):
        await ctx.to_process(breaks, 1)
    return [squared, int(in_thread != threading.get_ident()), int(child != os.getpid())]


@job(name="p.step_dies", max_tries=1)
async def step_dies(ctx: JobContext) -> None:
    await ctx.to_process(kills)


def of(*functions, size=2):
    return Catalogue(of_functions(functions), {"cpu": Queue("cpu", max_running=size)})


async def ended(b, ids):
    return [await b.ended(job_id) for job_id in ids]


async def test_what_computes_gives_way_to_event_loops(bench):
    """A child process has a lower priority than its worker, and so than the API and Redis beside it."""
    async with bench(niceness) as b, b.worker():
        ended = await b.run("p.niceness")

    assert int(ended.result) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)


async def test_a_child_is_used_again_until_it_is_recycled(bench):
    """Three jobs each, then a fresh one."""
    async with bench(catalogue=of(pid, size=1)) as b, b.worker(process_recycle=3):
        pids = [(await b.run("p.pid")).result for _ in range(6)]

    assert len(set(pids[:3])) == len(set(pids[3:])) == 1
    assert pids[0] != pids[3]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_child_that_is_killed_costs_its_own_attempt_only(bench, how):
    """The reason names the signal; the job of the child beside it goes on in the same process."""
    async with bench(catalogue=of(dies, sleeps)) as b, b.worker():
        other = await b.enqueue("p.sleeps", seconds=0.5)
        await b.entered(other, "progress")
        record = await b.run("p.dies", how=int(how))
        beside = await b.ended(other)

    assert (record.status, record.result) == (Status.SUCCEEDED, b"2")
    assert record.attempts[0].error.type == "ChildDied"
    assert how.name in record.attempts[0].error.message
    assert (beside.status, beside.attempt) == (Status.SUCCEEDED, 1)


async def test_a_child_that_exits_is_a_failed_attempt(bench):
    """os._exit ends the process, SystemExit is an exception like any other, and neither ends the worker."""
    async with bench(catalogue=of(exits, pid)) as b, b.worker():
        hard, soft = await b.run("p.exits", hard=True), await b.run("p.exits", hard=False)
        after = await b.run("p.pid")

    assert (hard.error.type, soft.error.type) == ("ChildDied", "SystemExit")
    assert "exit code 7" in hard.error.message
    assert after.status is Status.SUCCEEDED


async def test_a_child_over_its_timeout_is_killed(bench):
    """Its place is free at once for the next job."""
    async with bench(catalogue=of(sleeps, pid, size=1)) as b, b.worker(abort_grace=0.05):
        late = await b.run("p.sleeps", EnqueueOptions(timeout=0.3, max_tries=1), seconds=60)
        after = await b.run("p.pid")

    assert late.error.type == "AttemptTimeout"
    assert after.status is Status.SUCCEEDED


async def test_an_aborted_child_may_clean_up(bench):
    """A job that looks at ctx.aborted ends by itself, within the grace."""
    async with bench(catalogue=of(looks)) as b, b.worker(abort_grace=20):
        job_id = await b.enqueue("p.looks")
        await b.entered(job_id, "progress")
        await b.client.abort(job_id)
        record = await b.ended(job_id)

    assert record.status is Status.ABORTED
    assert [line["message"] for line in record.log] == ["cleaned up"]


async def test_an_exception_that_cannot_be_pickled_comes_as_data(bench):
    """It passes the pipe as type, message and traceback, and is retried like any other."""
    async with bench(catalogue=of(raises)) as b, b.worker():
        record = await b.run("p.raises")

    assert (record.status, record.attempt) == (Status.DEAD, 2)
    assert record.error.type.endswith("Unpicklable")
    assert "raise Unpicklable" in record.error.traceback


async def test_steps_of_an_async_job_run_in_threads_and_processes(bench):
    """Their results and exceptions come back to the job."""
    async with bench(steps) as b, b.worker():
        record = await b.run("p.steps")

    assert (record.status, record.result) == (Status.SUCCEEDED, b"[49,1,1]")


async def test_steps_raise_what_cannot_pass_the_pipe_and_leave_the_child_as_it_was(bench):
    """An exception with its own constructor arrives as itself; arguments and results that cannot be pickled say so."""
    async with bench(awkward) as b, b.worker():
        record = await b.run("p.awkward")

    assert (record.status, record.result) == (Status.SUCCEEDED, b'[7,"7 at noon",9]')


@pytest.mark.parametrize(
    ("function", "args", "error"), [("p.sqare", {}, "UnknownFunction"), ("p.sleeps", {"secs": 1}, "InvalidArguments")]
)
async def test_a_request_that_is_refused_raises_in_the_child_as_in_the_worker(bench, function, args, error):
    """With its class and its message."""
    async with bench(catalogue=of(enqueues, sleeps)) as b, b.worker():
        with pytest.raises(InvalidRequest) as here:
            await b.enqueue(function, **args)
        record = await b.run("p.enqueues", function=function, args=args)

    assert (record.status, orjson.loads(record.result)) == (Status.SUCCEEDED, [error, str(here.value)])


async def test_a_thread_that_a_job_left_behind_does_not_speak_for_the_next(bench):
    """Its log lines are dropped, and what it asks for is refused."""
    async with bench(catalogue=of(leaves, after, pid, size=1)) as b, b.worker():
        first = await b.run("p.leaves")
        second = await b.run("p.after")
        jobs = await b.inspector.page()

    assert (first.status, second.result, list(first.log)) == (Status.SUCCEEDED, b"true", [])
    assert [line["message"] for line in second.log] == ["my own"]
    assert sorted(job.function for job in jobs.items) == ["p.after", "p.leaves"]


async def test_an_idle_child_that_was_killed_costs_no_attempt(bench):
    """The next job has another child."""
    async with bench(catalogue=of(pid, size=1)) as b, b.worker():
        killed = int((await b.run("p.pid")).result)
        os.kill(killed, signal.SIGKILL)
        await gone(killed)
        record = await b.run("p.pid")

    assert (record.status, record.attempt) == (Status.SUCCEEDED, 1)
    assert int(record.result) != killed


def test_children_do_not_hold_up_the_exit_of_their_worker(tmp_path):
    """A process that ends without closing its children ends at once, and they with it."""
    program = f"""
import asyncio, os
from pathlib import Path
from offload.domain.executors import Used
from offload.worker.executors.messages import StepWork
from offload.worker.executors.processes import Processes, start_context

async def main():
    processes = Processes(start_context([]), 1, Path({str(tmp_path)!r}), 100, 1.0)
    print(await processes.run_work(StepWork(os.getpid, (), {{}}), used=Used()))

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert not Path(f"/proc/{ended.stdout.strip()}").exists()


async def test_a_step_that_dies_fails_its_job(bench):
    """With the signal as the reason."""
    async with bench(step_dies) as b, b.worker():
        record = await b.run("p.step_dies")

    assert (record.status, record.error.type) == (Status.DEAD, "ChildDied")


async def test_no_child_outlives_its_worker(bench):
    """Idle or busy, they end with it."""
    async with bench(catalogue=of(pid, sleeps)) as b:
        async with b.worker(abort_grace=0.05):
            job_id = await b.enqueue("p.sleeps", seconds=60)
            await b.entered(job_id, "progress")
            idle = int((await b.run("p.pid")).result)
            both = children_of(_forkserver._forkserver_pid)
        for one in both:
            await gone(one)
        record = await b.inspector.get(job_id)

    assert idle in both
    assert len(both) == 2
    assert record.status is Status.QUEUED


async def test_a_job_that_waits_for_a_child_is_stopped_at_once(bench):
    """A step of an async job that has no child yet is cancelled without starting one."""
    gate = asyncio.Event()

    @job(name="p.many")
    async def many(ctx: JobContext) -> None:
        gate.set()
        await asyncio.gather(*(ctx.to_process(time.sleep, 60) for _ in range(40)))

    async with bench(many) as b, b.worker(abort_grace=0.05):
        job_id = await b.enqueue("p.many")
        await gate.wait()
        await b.client.abort(job_id)
        record = await b.ended(job_id)

    assert record.status is Status.ABORTED


async def test_two_queues_do_not_share_threads(bench):
    """A queue whose threads all block leaves another's free."""
    gate = threading.Event()

    @job(name="t.blocks", queue="slow")
    def blocks(ctx: JobContext) -> None:
        gate.wait(20)

    @job(name="t.quick", queue="fast")
    def quick(ctx: JobContext) -> str:
        return threading.current_thread().name

    catalogue = Catalogue(of_functions([blocks, quick]), {"slow": Queue("slow", max_running=1)})
    async with bench(catalogue=catalogue) as b, b.worker():
        held = await b.enqueue("t.blocks")
        await b.entered(held, "running")
        record = await b.run("t.quick")
        gate.set()
        await b.ended(held)

    assert record.result.startswith(b'"offload-fast')
