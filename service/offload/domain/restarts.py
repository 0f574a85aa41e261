"""Restarts of a process that keeps ending: each comes later than the one before, until one has run for a while."""

from dataclasses import dataclass

PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the first restart, the second, …; the last holds for all further ones."""
SETTLED_S = 30.0
"""A process that ran longer was fine: its end is the first of a new series."""


@dataclass(slots=True)
class Restarts:
    """Consecutive ends of a process and of its replacements."""

    in_row: int = 0

    def pause_after(self, ran_s: float) -> float:
        """Count the end of a process that ran for `ran_s` seconds; return the seconds to wait before the next."""
        self.in_row = 1 if ran_s > SETTLED_S else self.in_row + 1
        return PAUSES_S[min(self.in_row, len(PAUSES_S)) - 1]

    def forget(self) -> None:
        """Begin a new series: the process was ended on purpose, or its settings have changed."""
        self.in_row = 0
