"""The job functions of the chaos run, copied to where its workers run.

Each attempt writes what it did into a file beside this module, one line an effect, appended in one write: what a killed
process has written stays. Redis is not asked to bear witness for itself.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from offload import Backoff, GiveUp, JobContext, Queue, Retry, job

PROCESSES = Queue("cpu", max_running=6)
TRIES = 200  # a worker that is killed costs an attempt; here nothing may die of that
TIMEOUT = 60
SOON = Backoff(base=0.05, limit=0.5)


@cache
def effects() -> int:
    """Open the file of effects, once in each process."""
    return os.open(Path(__file__).parent / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def say(what: str, ctx: JobContext) -> None:
    """Append one effect: what, which job and attempt, when, in which process group, and since when it has the lease."""
    now = time.monotonic()
    left = (ctx.deadline - datetime.now(UTC)).total_seconds() if ctx.deadline else 0.0
    claimed = now - (TIMEOUT - left)
    os.write(effects(), f"{what} {ctx.id} {ctx.attempt} {now:.6f} {os.getpgrp()} {claimed:.6f}\n".encode())


@contextmanager
def witnessed(ctx: JobContext) -> Iterator[None]:
    """Write that an attempt started, and how it ended."""
    say("started", ctx)
    try:
        yield
    except asyncio.CancelledError:
        say("cancelled", ctx)
        raise
    except Retry:
        say("failed", ctx)
        raise
    except GiveUp:
        say("gave_up", ctx)
        raise
    say("completed", ctx)


@job(name="chaos.waits", max_tries=TRIES, backoff=SOON, timeout=TIMEOUT)
async def waits(ctx: JobContext, seconds: float) -> int:
    """Wait on the loop, as most jobs do."""
    with witnessed(ctx):
        await asyncio.sleep(seconds)
    return ctx.attempt


@job(name="chaos.fails", max_tries=TRIES, backoff=SOON, timeout=TIMEOUT)
async def fails(ctx: JobContext, seconds: float, times: int) -> int:
    """Fail so many times first."""
    with witnessed(ctx):
        await asyncio.sleep(seconds)
        if ctx.attempt <= times:
            raise Retry(after=seconds)
    return ctx.attempt


@job(name="chaos.gives_up", max_tries=TRIES, backoff=SOON, timeout=TIMEOUT)
async def gives_up(ctx: JobContext, seconds: float) -> None:
    """Be dead by design."""
    with witnessed(ctx):
        await asyncio.sleep(seconds)
        raise GiveUp("as planned")


@job(name="chaos.holds", max_tries=TRIES, backoff=SOON, timeout=TIMEOUT)
async def holds(ctx: JobContext, seconds: float) -> int:
    """Hold the loop."""
    with witnessed(ctx):
        time.sleep(seconds)  # noqa: ASYNC251 - this is what it is about
    return ctx.attempt


@job(name="chaos.grips", max_tries=TRIES, backoff=SOON, timeout=TIMEOUT)
async def grips(ctx: JobContext, seconds: float) -> int:
    """Hold the loop and the GIL, in C, a quarter of a second at a time or more."""
    with witnessed(ctx):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            sum(range(10_000_000))
    return ctx.attempt


@job(name="chaos.threads", runs_in="thread", queue="threads", max_tries=TRIES, backoff=SOON, timeout=TIMEOUT)
def threads(ctx: JobContext, seconds: float) -> int:
    """Wait in a thread."""
    with witnessed(ctx):
        time.sleep(seconds)
    return ctx.attempt


@job(name="chaos.processes", runs_in="process", queue="cpu", max_tries=TRIES, backoff=SOON, timeout=TIMEOUT)
def processes(ctx: JobContext, seconds: float) -> int:
    """Wait in a process."""
    with witnessed(ctx):
        time.sleep(seconds)
    return ctx.attempt
