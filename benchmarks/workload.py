"""The jobs that are measured, as Offload runs them: OFFLOAD_JOBS names this module. Stock arq's are in `stock`."""

import asyncio
import time

from benchmarks import probe
from benchmarks.payload import Letter
from offload import JobContext, job


@job
async def noop(ctx: JobContext) -> None:
    """Do nothing."""


@job
async def nap(ctx: JobContext) -> None:
    """Wait 10 ms, as for a quick answer of another service."""
    await asyncio.sleep(0.01)


@job
async def tell(ctx: JobContext) -> None:
    """Say that it has begun."""
    probe.say()


@job
async def post(ctx: JobContext, letter: Letter) -> int:
    """Take a typed body, as over HTTP."""
    return len(letter.to)


@job(runs_in="process", queue="burn")
def burn(ctx: JobContext, seconds: float) -> int:
    """Keep a processor busy."""
    rounds, ends = 0, time.process_time() + seconds
    while time.process_time() < ends:
        rounds += sum(range(1000)) % 7
    return rounds
