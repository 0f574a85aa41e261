"""How much is measured: sizes of one run, from the short form in the tests to the full one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Counts, lengths in ms, times in s."""

    lengths: tuple[int, ...] = (50, 70, 85, 90, 100, 110, 125, 140, 160, 250, 400, 700, 1000, 2000)
    rounds: int = 1
    gil: int = 300
    others: int = 80
    load_s: float = 60.0
    starving_s: float = 8.0
    steps: int = 20_000
    step_runs: int = 40
    idle_s: float = 5.0
    idle_runs: int = 3
    live: int = 5
    hangs: int = 2


QUICK = Plan((60, 160), 1, 16, 6, 2.0, 1.0, 2_000, 5, 0.5, 1, 1, 0)
FULL = Plan(rounds=4, gil=600, others=200, load_s=600.0, starving_s=30.0, idle_s=20.0, live=20, hangs=5)
