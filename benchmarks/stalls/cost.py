"""What watching costs: a step, an idle loop; and how exact a job's own account of the loop is."""

import asyncio
import time
from statistics import median

from benchmarks.stalls.stand import LOOPS, Stand, on
from offload.loopwatch.step_clock import Scope, drive
from offload.loopwatch.watch import LoopWatch


def steps(count: int, runs: int) -> dict[str, float]:
    """Return for each loop what a step of a job costs more, in ns: watched against not, in turns, the best of each."""
    return {loop: _steps(loop, count, runs) for loop in LOOPS}


def _steps(loop: str, count: int, runs: int) -> float:
    async def spin() -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def main(*, is_watched: bool) -> float:
        watch = LoopWatch(asyncio.get_running_loop(), lambda _: None)
        if is_watched:
            await watch.start()
        try:
            began = time.thread_time_ns()
            await (drive(spin(), Scope("job", "1", "spin"), watch.slot) if is_watched else spin())
            return (time.thread_time_ns() - began) / count
        finally:
            await watch.stop()

    best = {True: float("inf"), False: float("inf")}
    for _ in range(runs):
        for is_watched, least in list(best.items()):
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                best[is_watched] = min(least, runner.run(main(is_watched=is_watched)))
    return best[True] - best[False]


def idle(seconds: float, runs: int) -> dict[str, float]:
    """Return for each loop what watching it costs while it is idle, in % of a core: on less off, in turns."""
    return {loop: _idle(loop, seconds, runs) for loop in LOOPS}


def _idle(loop: str, seconds: float, runs: int) -> float:
    async def main(*, is_watched: bool) -> float:
        watch = LoopWatch(asyncio.get_running_loop(), lambda _: None)
        if is_watched:
            await watch.start()
        try:
            await asyncio.sleep(1.5)  # until it beats slowly
            began = time.process_time_ns()
            await asyncio.sleep(seconds)
            return (time.process_time_ns() - began) / (seconds * 1e9) * 100
        finally:
            await watch.stop()

    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(runs):
        for is_watched, values in found.items():
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                values.append(runner.run(main(is_watched=is_watched)))
    return median(found[True]) - median(found[False])


def account() -> float:
    """Return by how much a job's `loop_ms` is wrong at most, in %, where its steps take 1 to 20 ms."""
    worst = 0.0

    async def job(milliseconds: int) -> int:
        held = 0
        for _ in range(20):
            began = time.monotonic_ns()
            while (now := time.monotonic_ns()) < began + milliseconds * 1_000_000:
                pass
            held += now - began
            await asyncio.sleep(0.001)
        return held

    async def work(stand: Stand) -> None:
        nonlocal worst
        for milliseconds in (1, 2, 5, 10, 20):
            scope, task = stand.job("stalls.account", job(milliseconds))
            held = await task
            worst = max(worst, abs(scope.loop_ns - held) / held * 100)

    for loop in LOOPS:
        on(loop, work)
    return worst
