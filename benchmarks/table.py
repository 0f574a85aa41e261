"""Figures, their goals, and the one table that shows them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks.plan import Plan

Values = Mapping[str, float]
Measure = Callable[[Plan, str], Awaitable[Values]]


@dataclass(frozen=True)
class Goal:
    """What must hold of the medians: of their ratio (ours to arq's), or of ours alone."""

    of: Literal["ratio", "ours"]
    is_at: Literal["least", "most"]
    bound: float

    def is_met(self, ours: float, ratio: float) -> bool:
        """Whether it holds."""
        found = ratio if self.of == "ratio" else ours
        return found >= self.bound if self.is_at == "least" else found <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.is_at == "least" else "≤"
        return f"{sign} {self.bound:g}" + (" x arq" if self.of == "ratio" else "")


@dataclass(frozen=True)
class Figure:
    """One line of the table: `key` names a value of its measurement."""

    key: str
    title: str
    goal: Goal | None = None


@dataclass(frozen=True)
class Experiment:
    """One measurement and the figures that it gives."""

    name: str
    measure: Measure
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Line:
    """A figure with all that was measured of it."""

    experiment: str
    figure: Figure
    ours: list[float]
    stock: list[float]

    @property
    def ratio(self) -> float:
        """Our median to that of arq."""
        return median(self.ours) / (median(self.stock) or float("nan"))

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if self.figure.goal is None:
            return ""
        return "pass" if self.figure.goal.is_met(median(self.ours), self.ratio) else "MISS"

    def as_dict(self) -> dict[str, object]:
        """Return the line for a file."""
        goal = str(self.figure.goal) if self.figure.goal else None
        about = {"experiment": self.experiment, "figure": self.figure.title, "goal": goal, "verdict": self.verdict}
        return {**about, "ratio": self.ratio, "offload": self.ours, "arq": self.stock}


def show(lines: list[Line], caption: str, console: Console) -> None:
    """Print the table."""
    table = Table(title="Offload and stock arq 0.28, side by side (min · median · max)", caption=caption)
    table.add_column("figure")
    for name in ("offload", "arq 0.28", "ratio", "goal"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for line in lines:
        style = {"pass": "green", "MISS": "bold red"}.get(line.verdict)
        cells = [_spread(line.ours), _spread(line.stock), f"{line.ratio:.2f}", str(line.figure.goal or "")]
        table.add_row(line.figure.title, *cells, f"[{style}]{line.verdict}[/]" if style else "")
    console.print(table)


def _spread(values: list[float]) -> str:
    return " · ".join(_short(value) for value in (min(values), median(values), max(values)))


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
