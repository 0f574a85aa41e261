"""A worker whose event loop never comes back: only from outside can its jobs' timeouts be enforced.

Each kind of hang costs its worker at the limit of the job, and no other job anything.
"""

import asyncio
import os
import signal
import textwrap

import pytest

from offload.domain.functions import EnqueueOptions
from offload.domain.states import Status
from offload.loader import load
from support.engine import arq_worker, bench_on, offload_worker

TIMEOUT, GRACE = 1.0, 0.2
JOBS = """
import asyncio, ctypes, threading, time
from offload import JobContext, job

libc = ctypes.PyDLL(None)  # its calls keep the GIL
mutex = ctypes.create_string_buffer(256)

@job(timeout=1, max_tries=1)
async def hang(ctx: JobContext, how: str) -> None:
    await asyncio.sleep(0.15)  # so that it is not the step with which the job began
    if how == "endless loop":
        while True:
            pass
    if how == "sleep":
        time.sleep(3600)
    if how == "lock":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    if how == "gil":
        libc.pthread_mutex_lock(mutex)
        libc.pthread_mutex_lock(mutex)
    await asyncio.sleep(3600)

@job
async def innocent(ctx: JobContext) -> int:
    await asyncio.sleep(0.05 if ctx.attempt > 1 else 0.3)
    return ctx.attempt

@job(timeout=3)
async def last_moment(ctx: JobContext) -> None:
    time.sleep(2.2)

@job
async def after(ctx: JobContext) -> int:
    return ctx.attempt
"""
ALIVE = "the event loop was blocked, while the interpreter was alive"
KINDS = {
    "endless loop": ({"while True:", "pass"}, ALIVE),
    "sleep": ({"time.sleep(3600)"}, ALIVE),
    "lock": ({"lock.acquire()"}, ALIVE),
    "gil": ({"libc.pthread_mutex_lock(mutex)"}, "C code held the GIL: no other thread could run either"),
}


@pytest.fixture
async def b(redis, redis_server, tmp_path, monkeypatch):
    """A client and an inspector that know the jobs that hang."""
    (tmp_path / "hangjobs.py").write_text(textwrap.dedent(JOBS))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "hangjobs", raising=False)
    async with bench_on(redis_server.url, tmp_path / "artifacts", load(["hangjobs"])) as bench:
        yield bench


@pytest.fixture
def worker(redis_server, tmp_path):
    """`offload worker` with a short grace."""
    one = offload_worker(redis_server.url, tmp_path, ["hangjobs"], stuck_grace=GRACE)
    yield one
    one.close()


@pytest.mark.parametrize("how", KINDS)
async def test_a_hang_costs_its_worker_at_the_jobs_limit_and_names_job_and_line(b, worker, how):
    """Dumped, recorded, killed and replaced at once; its attempt counts, with line and held time in the reason."""
    code, reason = KINDS[how]
    first = await worker.until("worker_started")
    innocent = await b.enqueue("hangjobs.innocent")
    others = [await b.enqueue("hangjobs.hang", EnqueueOptions(timeout=60), how="not at all") for _ in range(3)]
    hang = await b.enqueue("hangjobs.hang", how=how)
    stuck = await worker.until("worker_stuck")
    second = await worker.until("worker_started", 2)
    dead, done = await b.ended(hang), await b.ended(innocent)
    after = await b.run("hangjobs.after")
    waiting = [await b.inspector.get(one) for one in others]
    [stall], _ = await b.inspector.stalls(10)

    assert (stuck["job_id"], stuck["reason"]) == (hang, reason)
    assert (stall["kind"], stall["job_id"], stall["function"]) == ("step", hang, "hangjobs.hang")
    assert (stall["code"] in code, stall["reason"]) == (True, reason)
    assert stall["file"].endswith("hangjobs.py")
    assert (dead.status, dead.attempt, dead.error.type) == (Status.DEAD, 1, "WorkerLost")
    assert f"hangjobs.py:{stall['line']} held the event loop 1." in dead.error.message
    assert (dead.error.details["held_by"], dead.error.details["line"]) == (hang, stall["line"])
    assert (done.status, done.result, done.attempts) == (Status.SUCCEEDED, b"1", ())
    assert [(one.attempt, one.attempts) for one in waiting] == [(1, ())] * 3
    assert (after.worker, second["worker"] != first["worker"]) == (second["worker"], True)


async def test_a_stopped_worker_ends_at_the_limit_and_blames_nobody(b, worker):
    """SIGSTOP: it can neither work nor say where it is, while its guardian would keep its leases alive for ever."""
    started = await worker.until("worker_started")
    hang = await b.enqueue("hangjobs.hang", how="not at all")
    await worker.until("job_started")
    [pid] = worker.children()
    os.kill(pid, signal.SIGSTOP)
    stuck = await worker.until("worker_stuck")
    again = await worker.until("worker_started", 2)
    dead = await b.ended(hang)
    [stall], _ = await b.inspector.stalls(10)

    assert again["worker"] != started["worker"]
    assert stuck["reason"] == stall["reason"] == "the process was stopped, by a signal or a debugger"
    assert (stall["kind"], stall["job_id"], stall["line"], stall["stack"]) == ("starved", None, None, "")
    assert (dead.status, dead.error.type, dead.attempt) == (Status.DEAD, "WorkerLost", 1)
    assert "the process was stopped" in dead.error.message


async def test_a_machine_that_stood_still_is_no_hang(b, worker):
    """Guardian and worker were stopped together, past the job's limit: the worker is given time to come back."""
    started = await worker.until("worker_started")
    hang = await b.enqueue("hangjobs.hang", how="not at all")
    await worker.until("job_started")
    family = [worker.process.pid, *worker.children()]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(TIMEOUT + GRACE + 1)
    for pid in family:
        os.kill(pid, signal.SIGCONT)
    dead = await b.ended(hang)

    assert (dead.error.type, dead.worker) == ("AttemptTimeout", started["worker"])
    assert not [line for line in worker.log if line["event"] == "worker_stuck"]


async def test_a_loop_that_comes_back_just_before_the_limit_keeps_its_worker(b, worker):
    """The next worker has begun to load by then; it is dismissed, and no trace of it is left."""
    await worker.until("worker_started")
    [pid] = worker.children()
    last = await b.run("hangjobs.last_moment")
    while worker.children() != [pid]:  # noqa: ASYNC110 - another process ends it
        await asyncio.sleep(0.01)
    after = await b.run("hangjobs.after")
    started = [line for line in worker.log if line["event"] == "worker_started"]

    assert (last.status, last.attempt) == (Status.SUCCEEDED, 1)
    assert after.worker == started[0]["worker"]
    assert len(started) == 1


async def test_without_a_timeout_nothing_is_killed_and_the_log_tells_of_it(b, redis_server, tmp_path):
    """A limit that is far away is none: the loop may be held as long as it takes, and who holds it is said live."""
    worker = offload_worker(redis_server.url, tmp_path, ["hangjobs"], stuck_grace=GRACE)
    try:
        await worker.until("worker_started")
        hang = await b.enqueue("hangjobs.hang", EnqueueOptions(timeout=3600), how="sleep")
        told = await worker.until("loop_blocked", 2)
        record = await b.inspector.get(hang)
    finally:
        worker.close()

    assert (told["job_id"], told["function"]) == (hang, "hangjobs.hang")
    assert (record.status, record.attempt) == (Status.RUNNING, 1)
    assert not [line for line in worker.log if line["event"] in ("worker_stuck", "jobs_overdue")]


async def test_under_the_arq_cli_the_guardian_kills_and_gives_back(b, redis_server, tmp_path):
    """It is a child there and starts no worker; the jobs are there for another at once."""
    settings = {"jobs": ["hangjobs"], "stuck_grace": GRACE, "lease_seconds": 60}
    first = arq_worker(redis_server.url, tmp_path, "jobs.WorkerSettings", **settings)
    try:
        await first.until("guardian_started")
        hang = await b.enqueue("hangjobs.hang", how="sleep")
        innocent = await b.enqueue("hangjobs.innocent")
        stuck = await first.until("worker_stuck")
        code = await first.ended()
        second = arq_worker(redis_server.url, tmp_path, "jobs.WorkerSettings", "--burst", **settings)
        try:
            dead, done = await b.ended(hang), await b.ended(innocent)
        finally:
            second.close()
    finally:
        first.close()

    assert (stuck["job_id"], code) == (hang, -signal.SIGKILL)
    assert (dead.status, dead.error.details["held_by"]) == (Status.DEAD, hang)
    assert (done.status, done.attempts) == (Status.SUCCEEDED, ())
