"""Figures beside their targets, as Markdown."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Line:
    """One figure; `is_noisy` says that a miss may be the machine's, and does not fail the run."""

    title: str
    value: float
    unit: str
    is_at: Literal["least", "most"]
    bound: float
    about: str = ""
    is_noisy: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.bound if self.is_at == "least" else self.value <= self.bound

    @property
    def verdict(self) -> str:
        """Say it."""
        return "pass" if self.is_met else "MISS (or the machine's noise)" if self.is_noisy else "MISS"


def show(lines: list[Line]) -> str:
    """Return the table."""
    rows = ["| figure | measured | target | |", "|---|---:|---:|---|"]
    for line in lines:
        sign = "≥" if line.is_at == "least" else "≤"
        about = f" ({line.about})" if line.about else ""
        rows.append(
            f"| {line.title}{about} | {_short(line.value)}{line.unit} | {sign} {line.bound:g}{line.unit} "
            f"| {line.verdict} |"
        )
    return "\n".join(rows)


def _short(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
