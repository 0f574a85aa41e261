"""The same slow work as a job: in a thread, in a process, on the worker's event loop. And as plain functions."""

import asyncio
import time

from offload import JobContext, job


def wait(seconds: float) -> None:
    """Block, as a driver does that knows no asyncio."""
    time.sleep(seconds)


def compute(seconds: float) -> None:
    """Keep a core busy with Python."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        sum(range(1000))


WORK = {"wait": wait, "compute": compute}


@job(name="where.thread", queue="threads")
def in_thread(ctx: JobContext, work: str, seconds: float) -> None:
    """Work in a thread of the worker."""
    WORK[work](seconds)


@job(name="where.process", queue="processes", runs_in="process")
def in_process(ctx: JobContext, work: str, seconds: float) -> None:
    """Work in a process of its own."""
    WORK[work](seconds)


@job(name="where.loop")
async def on_loop(ctx: JobContext, work: str, seconds: float) -> None:
    """Wait as an async function should; what it computes holds the worker's loop, and no other."""
    if work == "wait":
        await asyncio.sleep(seconds)
    else:
        compute(seconds)
