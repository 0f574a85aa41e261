"""Pruning by hand: every worker prunes by itself, a bounded piece at a time; this job does all of it at once."""

from pydantic import BaseModel

from offload import JobContext, job


class Pruned(BaseModel):
    """How many records were taken away."""

    removed: int


@job(timeout=60, max_tries=2, keep_result=3600)
async def prune(ctx: JobContext) -> Pruned:
    """Remove the records and files of jobs that have outlived their keep."""
    return Pruned(removed=await ctx.prune())
