"""The daily report of the last 24 hours, for people and programs."""

from typing import Any

from pydantic import BaseModel

from offload import JobContext, job
from offload.domain.clock import now_ms, rfc3339


class DailyReport(BaseModel):
    """The state of the fleet at one moment: `summary` for people, `stats` for programs."""

    at: str
    summary: list[str]
    stats: dict[str, Any]


@job(timeout=60, max_tries=3, keep_result=7 * 86400)
async def daily(ctx: JobContext) -> DailyReport:
    """Gather queue depths, jobs by status, and the last 24 hours' dead jobs by function."""
    stats = await ctx.stats()
    return DailyReport(at=rfc3339(now_ms()) or "", summary=summarise(stats), stats=stats)


def summarise(stats: dict[str, Any]) -> list[str]:
    """Render the numbers as lines of text, functions with dead jobs first."""
    statuses: dict[str, int] = stats.get("statuses", {})
    functions: dict[str, dict[str, int]] = stats.get("functions", {})
    now = ", ".join(f"{count:,} {status}" for status, count in statuses.items() if count) or "no jobs"
    worst_first = sorted(functions.items(), key=lambda item: (-item[1].get("dead", 0), item[0]))
    return [f"stored now: {now}"] + [
        f"{function}, last 24 h: " + ", ".join(f"{count:,} {ending}" for ending, count in sorted(endings.items()))
        for function, endings in worst_first
    ]
