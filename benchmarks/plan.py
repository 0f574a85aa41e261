"""How much is measured: the sizes of one run, from a smoke test to the full million."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """Sizes; times in seconds. `slots` holds each side's best `max_jobs`, found before the first run."""

    runs: int = 5
    jobs: int = 10_000
    naps: int = 5_000
    calls: int = 2_000
    bulk: int = 20_000
    pickups: int = 100
    stock_pickups: int = 20
    deferred: int = 100
    idle: float = 10.0
    backlog: int = 200_000
    crowds: tuple[int, int] = (20, 100)
    crowd_jobs: int = 60
    http: float = 4.0
    batch: int = 1000
    listed: int = 100_000
    pages: int = 300
    slots: dict[str, int] = field(default_factory=dict)

    def slots_of(self, side: str) -> int:
        """Return how many jobs a worker of the side runs at once."""
        return self.slots.get(side, 100)


QUICK = Plan(2, 400, 200, 200, 500, 4, 3, 5, 1.0, 2_000, (2, 4), 5, 0.4, 50, 2_000, 9)
"""A smoke test: every measurement once each way; its figures mean nothing."""
