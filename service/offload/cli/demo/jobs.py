"""The demo's own jobs: one that fails at first, one that takes its time, one that a schedule fires.

Loaded by name, in the worker that `offload demo` starts; the rest of the demo knows them over HTTP only.
"""

import asyncio
import time
from typing import Annotated

from pydantic import BaseModel, Field

from offload import Backoff, JobContext, Schedule, job

STEP = 0.1
TICK = Schedule("demo.tick", function="demo.tick", every=1.0)


class Finish(BaseModel):
    """The attempt that succeeded."""

    attempt: int


class Tick(BaseModel):
    """One tick of the schedule, as the job it became."""

    job_id: str
    attempt: int


class NotYet(Exception):
    """The error that `flaky` raises: an ordinary exception, which the retry policy handles."""


@job(name="demo.flaky", timeout=10, max_tries=10, backoff=Backoff(base=0.2, limit=1.0))
async def flaky(ctx: JobContext, fail_times: Annotated[int, Field(ge=0, le=100)] = 2) -> Finish:
    """Fail on the first `fail_times` attempts, then succeed."""
    if ctx.attempt <= fail_times:
        msg = f"attempt {ctx.attempt} of {fail_times} that fail on purpose"
        raise NotYet(msg)
    return Finish(attempt=ctx.attempt)


@job(name="demo.sleep", timeout=3700, max_tries=3)
async def sleep(ctx: JobContext, seconds: Annotated[float, Field(ge=0, le=3600)]) -> float:
    """Sleep on the event loop and report progress; return the seconds actually slept."""
    started = time.monotonic()
    while (slept := time.monotonic() - started) < seconds:
        ctx.progress(slept / seconds, f"{slept:.1f} of {seconds:g} s")
        await asyncio.sleep(min(STEP, seconds - slept))
    ctx.progress(1.0, "slept")
    return round(slept, 3)


@job(name="demo.tick", timeout=10, max_tries=1, keep_result=3600)
async def tick(ctx: JobContext) -> Tick:
    """Log that a schedule fired."""
    ctx.log.info("demo_tick")
    return Tick(job_id=ctx.id, attempt=ctx.attempt)
