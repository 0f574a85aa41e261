"""The job functions of these tests, copied to where their workers run."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from offload import JobContext, job

HERE = Path(__file__).parent


@job(name="e.ok")
async def ok(ctx: JobContext) -> int:
    return ctx.attempt


@job(name="e.hangs_once", max_tries=3)
async def hangs_once(ctx: JobContext) -> int:
    if ctx.attempt == 1:
        await asyncio.sleep(600)
    return ctx.attempt


@job(name="e.holds", max_tries=3)
async def holds(ctx: JobContext, until: str) -> int:
    while not (HERE / until).exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    return ctx.attempt


@job(name="e.waits")
async def waits(ctx: JobContext, seconds: float) -> None:
    """Write down, for others to read, when it started and when it was done or cut short."""

    def say(what: str) -> None:
        with (HERE / "waits").open("a") as file:
            file.write(f"{what} {ctx.id} {time.monotonic():.3f}\n")

    say("started")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        say("cut")
        raise
    say("done")


@job(name="e.kills", max_tries=2)
async def kills(ctx: JobContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job(name="e.blocks", max_tries=3)
async def blocks(ctx: JobContext, seconds: float) -> int:
    time.sleep(seconds)  # noqa: ASYNC251 - this is what it is about
    return ctx.attempt


@job(name="e.child", runs_in="process", max_tries=3)
def child(ctx: JobContext) -> int:
    if ctx.attempt == 1:
        ctx.progress(0.5, str(os.getpid()))
        time.sleep(600)
    return ctx.attempt


@job(name="e.loaded", runs_in="process")
def loaded(ctx: JobContext) -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("offload.worker."))


@job(name="e.deaf", timeout=0.1, max_tries=1)
def deaf(ctx: JobContext) -> None:
    """Run on in a thread, whatever it is told."""
    time.sleep(600)
