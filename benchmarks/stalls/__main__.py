"""`make stalls`: hold loops in every way, and print how right the watch was; exits 1 where it was wrong.

A target that depends on the machine being quiet (times, costs) is marked when missed, and does not fail the run.
"""

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.stalls.plan import FULL, QUICK, Plan
from benchmarks.stalls.sections import SECTIONS
from benchmarks.stalls.table import Line, show


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.stalls", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="a smoke test, for the tests")
    parser.add_argument("--full", action="store_true", help="ten minutes of load, and more of all")
    parser.add_argument("--minutes", type=float, help="how long the load lasts (1; with --full 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    return parser.parse_args()


def main() -> int:
    """Measure what was asked for; return the exit code."""
    asked = _arguments()
    plan = QUICK if asked.quick else FULL if asked.full else Plan()
    if asked.minutes is not None:
        plan = replace(plan, load_s=asked.minutes * 60)
    lines: list[Line] = []
    for name, measure in SECTIONS.items():
        if asked.only is None or name in asked.only:
            print(f"measuring: {name}", file=sys.stderr)
            lines += measure(plan)
    print(show(lines))
    print(f"\n{os.cpu_count()} cores, Python {platform.python_version()}")
    if asked.json is not None:
        asked.json.write_text(json.dumps([{**asdict(one), "is_met": one.is_met} for one in lines], indent=1) + "\n")
    return int(any(not one.is_met and not one.is_noisy for one in lines))


if __name__ == "__main__":
    sys.exit(main())
