"""The jobs that are measured, as Offload runs them: OFFLOAD_JOBS names this module. Stock arq's are in `stock`."""

import asyncio

from benchmarks import probe
from service import JobContext, job


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
