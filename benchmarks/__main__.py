"""`make bench`: measure, in turns, and print one table."""

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks.experiments import EXPERIMENTS
from benchmarks.figures.throughput import best_slots
from benchmarks.plan import QUICK, Plan
from benchmarks.systems import PEERS
from benchmarks.table import Experiment, Line, show

console = Console(stderr=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, help="interleaved runs (5)")
    parser.add_argument("--only", action="append", choices=[one.name for one in EXPERIMENTS], help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="a smoke test; its figures mean nothing")
    parser.add_argument("--full", action="store_true", help="a backlog of 1,000,000 jobs")
    parser.add_argument("--backlog", type=int, help="jobs in the long queue (200,000)")
    parser.add_argument("--slots", type=int, help="max_jobs of both (the better of 100 and 500, for each)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values")
    return parser.parse_args()


def _plan(asked: argparse.Namespace) -> Plan:
    plan = QUICK if asked.quick else Plan()
    if asked.full:
        plan = replace(plan, backlog=1_000_000, listed=1_000_000)
    if asked.slots or asked.quick:
        plan = replace(plan, slots=dict.fromkeys(PEERS, asked.slots or 100))
    return replace(plan, runs=asked.runs or plan.runs, backlog=asked.backlog or plan.backlog)


async def _measure(one: Experiment, plan: Plan) -> list[Line]:
    found: dict[str, list[dict[str, float]]] = {side: [] for side in one.sides}
    for run in range(plan.runs):
        for side, values in found.items():
            with console.status(f"{one.name}, run {run + 1} of {plan.runs}: {side}"):
                values.append(dict(await one.measure(plan, side)))

    def values(side: str | None, key: str) -> list[float]:
        return [run[key] for run in found[side]] if side else []

    return [
        Line(one.name, figure, values("offload", figure.key), values(figure.peer, figure.key)) for figure in one.figures
    ]


def _save(path: Path | None, about: str, lines: list[Line]) -> None:
    if path is not None:
        path.write_text(json.dumps({"about": about, "lines": [line.as_dict() for line in lines]}, indent=1) + "\n")


async def main() -> None:
    """Measure what was asked for."""
    asked = _arguments()
    plan = _plan(asked)
    if not plan.slots:
        plan = replace(plan, slots={side: await best_slots(plan, side) for side in PEERS})
    slots = ", ".join(f"{side} {count}" for side, count in plan.slots.items())
    python = platform.python_version()
    about = f"{plan.runs} runs in turns · max_jobs: {slots} · {os.cpu_count()} cores · Python {python}"
    lines: list[Line] = []
    for one in EXPERIMENTS:
        if asked.only is None or one.name in asked.only:
            lines += await _measure(one, plan)
            _save(asked.json, about, lines)  # a long run that is cut short leaves what it found
    show(lines, about, Console(width=None if console.is_terminal else 150))


if __name__ == "__main__":
    uvloop.run(main())
