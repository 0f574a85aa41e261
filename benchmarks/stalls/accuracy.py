"""Whether each stall is told, of the right job and with the right line, and nothing that is none."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic_ns

from benchmarks.stalls import blockers
from benchmarks.stalls.stand import BLAMES, LOOPS, Found, Stand, on
from offload.loopwatch.step_clock import Scope

LEAST_MS, NOT_BELOW_MS = 100, 95
_INNOCENTS = 50


@dataclass
class Case:
    """One thing that held the loop, and what was told of it."""

    kind: str
    asked_ms: float
    held_ns: int
    ended_ns: int
    scope: Scope
    found: list[Found]

    @property
    def must_be_told(self) -> bool:
        """Whether it was long enough, by itself; what only the machine makes that long may be told or not."""
        return self.asked_ms >= LEAST_MS and self.held_ns >= LEAST_MS * 1e6

    @property
    def must_not_be_told(self) -> bool:
        """Whether it was too short."""
        return self.held_ns < NOT_BELOW_MS * 1e6

    @property
    def is_noise(self) -> bool:
        """Whether the machine kept the process waiting meanwhile, and the watch said so."""
        return bool(self.found) and all(one.stall.kind == "starved" for one in self.found)

    @property
    def has_job(self) -> bool:
        """Whether one record blames the job, and one only."""
        return len(self.found) == 1 and self.found[0].stall.kind == "step"

    @property
    def has_line(self) -> bool:
        """Whether the record has the line."""
        if not self.has_job:
            return False
        record = self.found[0].record
        return record["file"] == blockers.FILE and record["line"] in blockers.lines_of(self.kind)


def missed(case: Case, loop: str) -> str:
    """Say what was told instead."""
    told = [f"{one.stall.kind} {one.stall.held_ns / 1e6:.0f} ms at line {one.record['line']}" for one in case.found]
    held = f"{case.held_ns / 1e6:.1f} ms (asked for {case.asked_ms:.0f})"
    return f"missed: {case.kind} on {loop}, {held}: {'; '.join(told) or 'nothing told'}"


@dataclass
class Tally:
    """What came of many cases on one loop."""

    loop: str
    cases: list[Case] = field(default_factory=list)
    blamed_innocents: int = 0

    def told(self, kind: str | None = None) -> list[Case]:
        """Return the cases that had to be told, but for those that the machine spoiled."""
        return [
            one for one in self.cases if one.must_be_told and not one.is_noise and (kind is None or one.kind == kind)
        ]

    def noise(self, kind: str | None = None) -> int:
        """Return how many the machine spoiled."""
        return sum(one.must_be_told and one.is_noise and kind in {None, one.kind} for one in self.cases)


def kinds(lengths: tuple[int, ...], rounds: int) -> Iterator[Tally]:
    """Hold a loop in six ways, for lengths in ms, in jobs and in their children, beside innocent jobs."""
    blockers.calibrate()
    for loop in LOOPS:
        asked = [(kind, ms) for kind in blockers.KINDS for ms in lengths] * rounds
        random.shuffle(asked)
        yield _measure(loop, [(kind, blockers.KINDS[kind][1], ms) for kind, ms in asked])


def gil(count: int) -> Iterator[Tally]:
    """Hold the GIL in C, on the loop's thread."""
    for loop in LOOPS:
        lengths = [random.uniform(LEAST_MS, 250) for _ in range(count // len(LOOPS))]
        yield _measure(loop, [("usleep", blockers.usleep, ms) for ms in lengths])


def _measure(loop: str, asked: list[tuple[str, Callable[[float], None], float]]) -> Tally:
    tally = Tally(loop)

    async def work(stand: Stand) -> None:
        stand.innocents(_INNOCENTS, burn_ms=0.1, pause_s=0.02)
        for number, (kind, block, ms) in enumerate(asked):
            await asyncio.sleep(random.uniform(0.02, 0.12))
            scope, task = stand.job(f"stalls.{kind}", _job(block, ms / 1000, in_child=number % 3 == 1))
            held_ns, ended_ns = await task
            found = await stand.told(scope, 0.5 if ms >= LEAST_MS else 0.1)
            tally.cases.append(Case(kind, ms, held_ns, ended_ns, scope, found))

    stand = on(loop, work)
    for case in tally.cases:
        case.found = stand.of(case.scope)
    ours = {id(case.scope) for case in tally.cases}
    tally.blamed_innocents = sum(one.stall.kind in BLAMES and id(one.stall.scope) not in ours for one in stand.found)
    return tally


async def _job(block: Callable[[float], None], seconds: float, *, in_child: bool) -> tuple[int, int]:
    """Block, after a step that does not; in a task of its own if asked."""

    async def child() -> tuple[int, int]:
        await asyncio.sleep(0.01)
        held_ns = blockers.deep(block, seconds)
        return held_ns, now_ns()

    if not in_child:
        return await child()
    (found, _) = await asyncio.gather(child(), asyncio.sleep(0.001))
    return found


def now_ns() -> int:
    """Return the clock by which stalls are measured."""
    return monotonic_ns()
