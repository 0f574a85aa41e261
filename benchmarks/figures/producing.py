"""Putting jobs in: one call after the other, 50 callers at once, many in one call."""

import time
from collections.abc import Awaitable

from benchmarks import machine
from benchmarks.plan import Plan
from benchmarks.testbed import bed


async def enqueue(plan: Plan, side: str) -> dict[str, float]:
    """Enqueue, with no worker there."""
    async with bed(side, 1) as at:
        await at.side.enqueue("noop")  # scripts are loaded, connections opened

        async def one_by_one() -> None:
            for _ in range(plan.calls):
                await at.side.enqueue("noop")

        single = await _rate(one_by_one(), plan.calls)
        before = await machine.served(at.redis)
        together = await _rate(at.side.enqueue_concurrently("noop", plan.calls), plan.calls)
        redis = (await machine.served(at.redis)).since(before)
        bulk = await _rate(at.side.enqueue_bulk("noop", plan.bulk), plan.bulk)
        return {
            "single": single,
            "together": together,
            "bulk": bulk,
            "reads": redis.reads / plan.calls,
            "redis_us": redis.cpu_s / plan.calls * 1e6,
            "commands": redis.commands / plan.calls,
        }


async def _rate(work: Awaitable[None], count: int) -> float:
    began = time.perf_counter()
    await work
    return count / (time.perf_counter() - began)
