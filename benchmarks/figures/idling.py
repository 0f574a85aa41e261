"""What workers cost that have nothing to do: CPU, memory, and Redis commands where there are many of them."""

import asyncio
import subprocess
import sys

from benchmarks import machine
from benchmarks.plan import Plan
from benchmarks.systems import REPOSITORY
from benchmarks.testbed import Bed, bed

_SETTLE_S = 3.0
_A_PROCESS = 25  # workers in one process of a crowd
_BETWEEN_S = 0.05


async def idle(plan: Plan, side: str) -> dict[str, float]:
    """Leave one worker alone."""
    async with bed(side, plan.slots_of(side)) as at:
        await at.start()
        await asyncio.sleep(min(_SETTLE_S, plan.idle))
        pids = at.pids()
        used = machine.cpu_s(pids)
        await asyncio.sleep(plan.idle)
        used = machine.cpu_s(pids) - used
        return {"cpu": used / plan.idle * 100, "pss": machine.pss_mib(pids)}


async def crowd(plan: Plan, side: str) -> dict[str, float]:
    """Put jobs in front of few idle workers and of many; the commands of their polls are not counted."""
    few, many = [await _commands_a_job(plan, side, size) for size in plan.crowds]
    return {"many": many, "growth": many / few}


async def _commands_a_job(plan: Plan, side: str, workers: int) -> float:
    async with bed(side, 10) as at:
        at.workers += [_crowd(at, side, min(_A_PROCESS, workers - first)) for first in range(0, workers, _A_PROCESS)]
        while len(await at.redis.client_list()) < workers:  # noqa: ASYNC110 - another process connects
            await asyncio.sleep(0.05)
        await at.side.enqueue("noop")
        await asyncio.sleep(min(_SETTLE_S, plan.idle))
        window = plan.crowd_jobs * _BETWEEN_S
        idle = await _commands_in(at, 0, window) + await _commands_in(at, 0, window)
        return (await _commands_in(at, plan.crowd_jobs, window) - idle / 2) / plan.crowd_jobs


async def _commands_in(at: Bed, jobs: int, window: float) -> float:
    """Return what Redis was asked in a time in which that many jobs were put in."""
    before = await machine.served(at.redis)
    ends = asyncio.get_running_loop().time() + window
    for _ in range(jobs):
        await at.side.enqueue("noop")
        await asyncio.sleep(_BETWEEN_S * 0.9)
    await asyncio.sleep(max(0, ends - asyncio.get_running_loop().time()))
    return (await machine.served(at.redis)).since(before).commands


def _crowd(at: Bed, side: str, workers: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.idle_workers", side, at.side.url, str(workers)]
    return subprocess.Popen(command, cwd=REPOSITORY)
