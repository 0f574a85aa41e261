"""That nobody is blamed who has done nothing: GIL hogs in threads, heavy load, a machine that is too small."""

import asyncio
import contextlib
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.stalls import blockers
from benchmarks.stalls.stand import BLAMES, LOOPS, Stand, on
from offload.loopwatch.suspects import AtWork


@dataclass
class Hogs:
    """What was told while another thread held the GIL."""

    count: int = 0
    told: int = 0
    blaming: int = 0
    named: int = 0
    suspected: int = 0


def hogs(count: int) -> Hogs:
    """Hold the GIL in a thread that works on a job, 150 to 400 ms each, while jobs on the loop make system calls."""
    sizes = [_size_for(hog) for hog in blockers.HOGS]
    total = Hogs()
    for loop in LOOPS:

        async def work(stand: Stand) -> None:
            stand.innocents(50, burn_ms=0.1, pause_s=0.02, call=Path("/").stat)
            for number in range(count // len(LOOPS)):
                await asyncio.sleep(random.uniform(0.1, 0.2))
                before = len(stand.found)
                which = number % len(blockers.HOGS)
                job_id = f"hog-{number}"
                took = await asyncio.to_thread(_hog, which, round(sizes[which] * random.uniform(0.15, 0.4)), job_id)
                await asyncio.sleep(0.15)
                if took < 0.11:
                    continue
                found = stand.found[before:]
                total.count += 1
                total.blaming += any(one.stall.kind in BLAMES for one in found)
                others = [one.record["suspects"] for one in found if one.stall.kind == "gil-other-thread"]
                total.told += bool(others)
                total.suspected += any(others)
                total.named += any(one["job_id"] == job_id for suspects in others for one in suspects)

        on(loop, work)
    return total


def _hog(which: int, size: int, job_id: str) -> float:
    began = time.monotonic()
    with AtWork(job_id, "stalls.hog"):
        blockers.HOGS[which](size)
    return time.monotonic() - began


def _size_for(hog: Callable[[int], object]) -> float:
    """Return how large a call of this hog takes a second."""
    size = 200_000
    while True:
        began = time.perf_counter()
        hog(size)
        took = time.perf_counter() - began
        if took > 0.03:
            return size / took
        size *= 2


@dataclass
class Load:
    """What was told of a loop that is busy with short steps."""

    loop: str
    seconds: float
    busy: float
    max_lag_ms: float
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def blamed(self) -> int:
        """How many records blame somebody."""
        return sum(self.kinds[kind] for kind in BLAMES)


def load(seconds: float) -> Iterator[Load]:
    """Keep a loop busy for more than 80 % of the time with fifty jobs in steps of 1 ms."""
    for loop in LOOPS:
        yield _load(loop, seconds / len(LOOPS))


def _load(loop: str, seconds: float) -> Load:
    figures = []

    async def work(stand: Stand) -> None:
        stand.innocents(50, burn_ms=1.0, pause_s=0.06)
        await asyncio.sleep(0.2)
        stand.watch.figures()
        await asyncio.sleep(seconds)
        figures.append(stand.watch.figures())

    stand = on(loop, work)
    kinds = Counter(one.stall.kind for one in stand.found)
    return Load(loop, seconds, figures[0].busy, figures[0].max_lag_ms, kinds)


def starving(seconds: float) -> Load:
    """Share the one processor that we may use with six processes that compute."""
    if not hasattr(os, "sched_setaffinity"):
        return Load("asyncio", 0, 0, 0)
    before = os.sched_getaffinity(0)
    core = {max(before)}
    figures = []

    async def work(stand: Stand) -> None:
        stand.innocents(20, burn_ms=0.5, pause_s=0.03)
        await asyncio.sleep(0.2)
        burning = contextlib.ExitStack()
        await asyncio.to_thread(burning.enter_context, _burning(core, 6))
        stand.watch.figures()
        await asyncio.sleep(seconds)
        figures.append(stand.watch.figures())
        await asyncio.to_thread(burning.close)

    os.sched_setaffinity(0, core)
    try:
        stand = on("asyncio", work)
    finally:
        os.sched_setaffinity(0, before)
    return Load(
        "asyncio", seconds, figures[0].busy, figures[0].max_lag_ms, Counter(one.stall.kind for one in stand.found)
    )


@contextlib.contextmanager
def _burning(core: set[int], count: int) -> Iterator[None]:
    """Have processes compute on one processor."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_burn, args=(core,), daemon=True) for _ in range(count)]
    for one in processes:
        one.start()
    try:
        yield
    finally:
        for one in processes:
            one.kill()
            one.join()


def _burn(core: set[int]) -> None:
    os.sched_setaffinity(0, core)
    while True:
        pass
