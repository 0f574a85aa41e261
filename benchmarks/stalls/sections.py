"""The parts of the program: each measures, prints its own table where it has one, and returns figures with targets."""

import asyncio
import random
import sys
from collections.abc import Callable, Iterable
from statistics import median

from benchmarks.hang_jobs import STOPPED
from benchmarks.hangs import measure as measure_hangs
from benchmarks.stalls import accuracy, blockers, cost, innocence
from benchmarks.stalls.accuracy import Case, Tally
from benchmarks.stalls.plan import Plan
from benchmarks.stalls.stand import LOOPS, Stand, on
from benchmarks.stalls.table import Line


def kinds(plan: Plan) -> list[Line]:
    """Hold both loops in six ways, short and long."""
    tallies = list(accuracy.kinds(plan.lengths, plan.rounds))
    print(_by_kind(tallies))
    cases = _told(tallies)
    short = [case for tally in tallies for case in tally.cases if case.must_not_be_told]
    noise = sum(tally.noise() for tally in tallies)
    about = f"of {len(cases)}" + (f"; {noise} more the machine spoiled, `starved`" if noise else "")
    errors = [abs(case.found[0].stall.held_ns - case.held_ns) / 1e6 for case in cases if case.has_job]
    late = [(case.found[0].made_ns - case.ended_ns) / 1e6 for case in cases if case.has_job]
    return [
        Line("right job, six kinds, ≥ 100 ms", _share(case.has_job for case in cases), " %", "least", 99.5, about),
        Line("right line", _share(case.has_line for case in cases), " %", "least", 99.5, about),
        Line("told though < 95 ms", sum(bool(case.found) for case in short), "", "most", 0, f"of {len(short)}"),
        Line("innocent jobs blamed meanwhile", sum(tally.blamed_innocents for tally in tallies), "", "most", 0),
        Line(
            "error of the duration, at most", max(errors, default=0), " ms", "most", 1, _median(errors), is_noisy=True
        ),
        Line("recovery to record, at most", max(late, default=0), " ms", "most", 200, _median(late), is_noisy=True),
    ]


def _told(tallies: list[Tally]) -> list[Case]:
    """Return the cases that had to be told; say to stderr which were not told right."""
    for tally in tallies:
        for case in tally.cases:
            if (case.must_be_told and not case.has_line and not case.is_noise) or (
                case.must_not_be_told and case.found
            ):
                print(accuracy.missed(case, tally.loop), file=sys.stderr)
    return [case for tally in tallies for case in tally.told()]


def _by_kind(tallies: list[Tally]) -> str:
    rows = ["| kind | loop | ≥ 100 ms | right job | right line | < 95 ms told |", "|---|---|---:|---:|---:|---:|"]
    for kind, (title, _) in blockers.KINDS.items():
        for tally in tallies:
            cases = tally.told(kind)
            short = [case for case in tally.cases if case.kind == kind and case.must_not_be_told]
            job, line = sum(case.has_job for case in cases), sum(case.has_line for case in cases)
            told = sum(bool(case.found) for case in short)
            rows.append(f"| {title} | {tally.loop} | {len(cases)} | {job} | {line} | {told} of {len(short)} |")
    return "\n".join(rows) + "\n"


def gil(plan: Plan) -> list[Line]:
    """Hold the loop's thread in C that keeps the GIL."""
    tallies = list(accuracy.gil(plan.gil))
    cases = _told(tallies)
    about = f"of {len(cases)}"
    return [
        Line("GIL held in C: right job", _share(case.has_job for case in cases), " %", "least", 100, about),
        Line("GIL held in C: right line", _share(case.has_line for case in cases), " %", "least", 99, about),
        Line("innocent jobs blamed meanwhile", sum(tally.blamed_innocents for tally in tallies), "", "most", 0),
    ]


def others(plan: Plan) -> list[Line]:
    """Hold another thread in C that keeps the GIL."""
    found = innocence.hogs(plan.others)
    wrong = found.blaming / max(found.count, 1) * 100
    told = max(found.told, 1)
    about = f"of {found.told} told as `gil-other-thread`"
    return [
        Line("GIL held by another thread: a job blamed", wrong, " %", "most", 5, f"of {found.count}"),
        Line("the same: somebody suspected", found.suspected / told * 100, " %", "least", 75, about),
        Line("the same: the very job suspected", found.named / told * 100, " %", "least", 75, about),
    ]


def load(plan: Plan) -> list[Line]:
    """Keep a loop busy, and give it too small a machine."""
    lines = []
    for seen in innocence.load(plan.load_s):
        about = f"{seen.seconds:g} s, {seen.loop}, worst lag {seen.max_lag_ms:.0f} ms{_kinds(seen)}"
        lines += [
            Line("load", seen.busy * 100, " %", "least", 80, seen.loop, is_noisy=True),
            Line("innocent jobs blamed under it", seen.blamed, "", "most", 0, about),
        ]
    seen = innocence.starving(plan.starving_s)
    about = f"{seen.seconds:g} s, six hogs on our processor, worst lag {seen.max_lag_ms:.0f} ms{_kinds(seen)}"
    return [*lines, Line("innocent jobs blamed without a processor", seen.blamed, "", "most", 0, about)]


def live(plan: Plan) -> list[Line]:
    """See what is told while it lasts."""
    first: list[float] = []

    async def work(stand: Stand) -> None:
        stand.innocents(50, burn_ms=0.1, pause_s=0.02)
        for number in range(plan.live):
            await asyncio.sleep(random.uniform(0.05, 0.15))
            kind = blockers.sleep if number % 2 else blockers.cpu
            scope, task = stand.job("stalls.live", _hold(kind))
            began_ns = await task
            await stand.told(scope)
            told = [one.told_ns for one in stand.live if one.stall.scope is scope]
            first.append((min(told) - began_ns) / 1e9 if told else float("inf"))

    for loop in LOOPS:
        on(loop, work)
    about = f"of {len(first)}, {_median(first)}"
    return [Line("stall start to live event, at most", max(first), " s", "most", 1.2, about, is_noisy=True)]


async def _hold(kind: Callable[[float], None]) -> int:
    began_ns = accuracy.now_ns()
    kind(1.3)
    return began_ns


def costs(plan: Plan) -> list[Line]:
    """See what it takes of the processor."""
    lines = [Line("error of `loop_ms`, steps of 1 to 20 ms", cost.account(), " %", "most", 5, is_noisy=True)]
    for loop, ns in cost.steps(plan.steps, plan.step_runs).items():
        lines.append(Line("cost of a step of a job", ns / 1000, " µs", "most", 1, loop, is_noisy=True))
    for loop, percent in cost.idle(plan.idle_s, plan.idle_runs).items():
        lines.append(Line("cost on an idle loop, of a core", percent, " %", "most", 0.3, loop, is_noisy=True))
    return lines


def hangs(plan: Plan) -> list[Line]:
    """Let workers hang until their guardian acts."""
    rows = asyncio.run(measure_hangs(plan.hangs)) if plan.hangs else []
    lines = [
        Line(
            "hang to restart, beyond the limit, at most",
            max(row.replaced_ms for row in rows if row.kind == kind),
            " ms",
            "most",
            1000,
            f"{kind}; dumped after {max(row.dumped_ms for row in rows if row.kind == kind):.0f} ms",
            is_noisy=True,
        )
        for kind in dict.fromkeys(row.kind for row in rows)
    ]
    seen = [row for row in rows if row.kind != STOPPED]
    job, line = _share(row.has_job for row in seen), _share(row.has_line for row in seen)
    about = f"of {len(seen)}"
    if seen:
        lines += [Line("hung: right job", job, " %", "least", 100, about)]
        lines += [Line("hung: right line", line, " %", "least", 100, about)]
    return lines


SECTIONS: dict[str, Callable[[Plan], list[Line]]] = {
    "kinds": kinds,
    "gil": gil,
    "others": others,
    "load": load,
    "live": live,
    "cost": costs,
    "hangs": hangs,
}


def _share(right: Iterable[bool]) -> float:
    all_of_them = list(right)
    return sum(all_of_them) / len(all_of_them) * 100 if all_of_them else 100.0


def _median(values: list[float]) -> str:
    return f"median {median(values):.2f}" if values else ""


def _kinds(seen: innocence.Load) -> str:
    return "".join(f", {count} `{kind}`" for kind, count in sorted(seen.kinds.items()))
