"""Upkeep on a schedule: what has outlived its time is taken out of Redis and off the disk."""

from pydantic import BaseModel

from service import JobContext, Schedule, job

PRUNE = Schedule("maintenance.prune", function="maintenance.prune", every=300)


class Pruned(BaseModel):
    """How many records were taken away."""

    removed: int


@job(timeout=60, max_tries=2, keep_result=3600)
async def prune(ctx: JobContext) -> Pruned:
    """Remove the records and files of jobs that have outlived their keep."""
    return Pruned(removed=await ctx.prune())
