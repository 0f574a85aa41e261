"""Jobs per second: workers are up and frozen, the jobs are queued, and then they are let go."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks import machine
from benchmarks.plan import Plan
from benchmarks.testbed import Bed, bed

_LOOK_S = 0.01


@dataclass(frozen=True)
class Drain:
    """How a queue was drained between two looks, the first after some jobs had ended."""

    jobs: int
    seconds: float
    looks: int

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return self.jobs / self.seconds


async def drain(at: Bed, count: int, skip: int = 1, left: int = 0) -> Drain:
    """Watch `count` queued jobs end, from when `skip` of them have ended until `left` are left."""
    looks, first, before = 0, 0.0, 0
    while True:
        queued, now, looks = await at.queued(), time.monotonic(), looks + 1
        if not first and queued <= count - skip:
            first, before = now, queued
        if queued <= left:
            return Drain(before - queued, max(now - first, 1e-9), looks)
        await asyncio.sleep(_LOOK_S)


async def _run(
    plan: Plan, side: str, function: str, count: int, *, workers: int = 1, slots: int = 0
) -> dict[str, float]:
    async with bed(side, slots or plan.slots_of(side)) as at:
        await at.start(workers)
        at.freeze()
        await at.side.fill(function, count)
        before, pids = await machine.served(at.redis), at.pids()
        used = machine.cpu_s(pids)
        at.thaw()
        seen = await drain(at, count)
        redis = (await machine.served(at.redis)).since(before, seen.looks)
        return {
            "rate": seen.rate,
            "worker_us": (machine.cpu_s(pids) - used) / count * 1e6,
            "redis_us": redis.cpu_s / count * 1e6,
            "commands": redis.commands / count,
            "reads": redis.reads / count,
        }


async def noop(plan: Plan, side: str) -> dict[str, float]:
    """Run jobs that do nothing on one worker, and on two."""
    one = await _run(plan, side, "noop", plan.jobs)
    two = await _run(plan, side, "noop", plan.jobs, workers=2)
    return {**one, "two": two["rate"], "two_to_one": two["rate"] / one["rate"]}


async def watched(plan: Plan, side: str) -> dict[str, float]:
    """Run jobs that do nothing on one worker whose event loop is watched, or not."""
    return await _run(plan, side, "noop", plan.jobs * 2, slots=plan.slots_of("offload"))


async def nap(plan: Plan, side: str) -> dict[str, float]:
    """Run jobs of 10 ms in 100 slots: 10,000 a second are possible."""
    seen = await _run(plan, side, "nap", plan.naps if side == "offload" else plan.naps // 2, slots=100)
    return {"share": seen["rate"] / 100}


async def best_slots(plan: Plan, side: str) -> int:
    """Return which of 100 and 500 slots runs more jobs that do nothing."""
    rates = {slots: (await _run(plan, side, "noop", plan.jobs, slots=slots))["rate"] for slots in (100, 500)}
    return max(rates, key=lambda slots: rates[slots])


async def backlog(plan: Plan, side: str) -> dict[str, float]:
    """Run the first jobs of a long queue, and of a short one."""
    short, short_rss = await _first_of(plan, side, plan.jobs * 11 // 10)
    long, long_rss = await _first_of(plan, side, plan.backlog)
    return {"ratio": long / short, "rate": long, "rss": long_rss, "rss_grows": long_rss - short_rss}


async def _first_of(plan: Plan, side: str, queued: int) -> tuple[float, float]:
    """Return the rate at which the first jobs of a queue are run, and the worker's memory then."""
    async with bed(side, plan.slots_of(side)) as at:
        await at.side.fill("noop", queued)
        at.start_now()
        seen = await drain(at, queued, skip=plan.jobs // 10, left=queued - plan.jobs)
        return seen.rate, max(machine.rss_mib(pid) for pid in at.pids())
