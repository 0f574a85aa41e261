"""How soon: from enqueue to the job's first line, from its due time, to its result, from a worker's start."""

import asyncio
import random
import time

from benchmarks.plan import Plan
from benchmarks.quantiles import quantile
from benchmarks.testbed import bed

_POLL_S = 0.5  # arq's: a pause of chance up to this long meets its poll anywhere


async def pickup(plan: Plan, side: str) -> dict[str, float]:
    """Enqueue a job for an idle worker: from the call to its first line, and until its result is there."""
    count = plan.pickups if side == "offload" else plan.stock_pickups
    waits, trips = [], []
    async with bed(side, plan.slots_of(side)) as at:
        await at.start()
        for _ in range(count):
            await asyncio.sleep(_pause(side))
            began = time.monotonic_ns()
            ticket = await at.side.enqueue("tell")
            waits.append(((await at.told())[0] - began) / 1e6)
            del ticket
        for _ in range(count):
            await asyncio.sleep(_pause(side))
            began = time.monotonic_ns()
            await at.side.result(await at.side.enqueue("tell"))
            trips.append((time.monotonic_ns() - began) / 1e6)
            await at.told()
    return {"p50": quantile(waits, 0.5), "p99": quantile(waits, 0.99), "trip": quantile(trips, 0.5)}


def _pause(side: str) -> float:
    """Return how long to leave the worker idle; ours polls as well, so a pause of its own would flatter nobody."""
    return random.uniform(0, _POLL_S if side == "arq" else _POLL_S / 10)


async def deferred(plan: Plan, side: str) -> dict[str, float]:
    """Enqueue jobs for times to come, and see how late each starts."""
    async with bed(side, plan.slots_of(side)) as at:
        await at.start()
        now_ms = time.time_ns() // 1_000_000
        due = sorted(now_ms + 500 + random.randrange(plan.deferred * 30) for _ in range(plan.deferred))
        for due_ms in due:
            await at.side.enqueue("tell", due_ms)
        begun = sorted([(await at.told())[1] / 1e6 for _ in due])
    late = [at_ms - due_ms for at_ms, due_ms in zip(begun, due, strict=True)]
    return {"p50": quantile(late, 0.5), "p99": quantile(late, 0.99)}


async def start(plan: Plan, side: str) -> dict[str, float]:
    """Start a worker that finds a job waiting."""
    async with bed(side, plan.slots_of(side)) as at:
        await at.side.enqueue("tell")
        began = time.monotonic_ns()
        at.start_now()
        return {"seconds": ((await at.told())[0] - began) / 1e9}
