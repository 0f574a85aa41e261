"""Figures, their goals, and the one table that shows them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from math import isnan
from statistics import median
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks.plan import Plan

Values = Mapping[str, float]
Measure = Callable[[Plan, str], Awaitable[Values]]


@dataclass(frozen=True)
class Goal:
    """What must hold of the medians: of their ratio (ours to the peer's), or of ours alone."""

    of: Literal["ratio", "ours"]
    is_at: Literal["least", "most"]
    bound: float

    def is_met(self, ours: float, ratio: float) -> bool:
        """Whether it holds."""
        found = ratio if self.of == "ratio" else ours
        return found >= self.bound if self.is_at == "least" else found <= self.bound

    def said(self, peer: str) -> str:
        """Say what must hold, in few characters."""
        sign = "≥" if self.is_at == "least" else "≤"
        return f"{sign} {self.bound:g}" + (f" x {peer}" if self.of == "ratio" else "")


@dataclass(frozen=True)
class Figure:
    """One line of the table: `key` names a value of its measurement, `peer` the side whose value stands beside ours.

    Without a peer ours stands alone.
    """

    key: str
    title: str
    goal: Goal | None = None
    peer: str | None = "arq"


@dataclass(frozen=True)
class Experiment:
    """One measurement and the figures that it gives."""

    name: str
    measure: Measure
    figures: tuple[Figure, ...]
    sides: tuple[str, ...] = ("offload", "arq")


@dataclass(frozen=True)
class Line:
    """A figure with all that was measured of it."""

    experiment: str
    figure: Figure
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """Our median to that of the peer; not a number where there is none, or theirs is 0."""
        return median(self.ours) / ((median(self.theirs) if self.theirs else 0) or float("nan"))

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if self.figure.goal is None:
            return ""
        return "pass" if self.figure.goal.is_met(median(self.ours), self.ratio) else "MISS"

    def as_dict(self) -> dict[str, object]:
        """Return the line for a file."""
        goal, peer = self.figure.goal, self.figure.peer
        said = goal.said(peer or "") if goal else None
        about = {"experiment": self.experiment, "figure": self.figure.title, "goal": said, "verdict": self.verdict}
        found: dict[str, object] = {"offload": self.ours}
        if peer is not None:
            found |= {"peer": peer, peer: self.theirs, "ratio": None if isnan(self.ratio) else self.ratio}
        return {**about, **found}


def show(lines: list[Line], caption: str, console: Console) -> None:
    """Print the table."""
    table = Table(title="Offload and its peers, side by side (min · median · max); arq is 0.28", caption=caption)
    table.add_column("figure")
    for name in ("offload", "peer", "", "ratio", "goal"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for line in lines:
        style = {"pass": "green", "MISS": "bold red"}.get(line.verdict)
        goal, peer = line.figure.goal, line.figure.peer or ""
        ratio = "" if isnan(line.ratio) else f"{line.ratio:.2f}"
        cells = [_spread(line.ours), _spread(line.theirs), peer, ratio, goal.said(peer) if goal else ""]
        table.add_row(line.figure.title, *cells, f"[{style}]{line.verdict}[/]" if style else "")
    console.print(table)


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    return " · ".join(_short(value) for value in (min(values), median(values), max(values)))


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
