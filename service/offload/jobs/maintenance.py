"""Pruning on demand: workers prune in small steps by themselves; this job does all of it at once."""

from pydantic import BaseModel

from offload import JobContext, job


class Pruned(BaseModel):
    """The number of removed records."""

    removed: int


@job(timeout=60, max_tries=2, keep_result=3600)
async def prune(ctx: JobContext) -> Pruned:
    """Remove records and files of jobs that have expired."""
    return Pruned(removed=await ctx.prune())
