"""What is said of stalls that make a build, a worker or a test fail: each cause once, with its line and the way out."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from offload.domain.stalls import BLAMING

Stall = Mapping[str, Any]


def blamed(stalls: Iterable[Stall]) -> list[Stall]:
    """Return those that are somebody's fault."""
    return [one for one in stalls if one["kind"] in BLAMING]


def complaint(stalls: Iterable[Stall], here: str) -> str:
    """Return a line that counts them, and one for each cause with its worst: what, where, how long, what to do instead.

    `here` is the working directory: files under it are named from there on.
    """
    causes: dict[str, list[Stall]] = {}
    for one in stalls:
        causes.setdefault(str(one.get("fingerprint")), []).append(one)
    count = sum(map(len, causes.values()))
    lines = [f"{count} {'stall' if count == 1 else 'stalls'} of an event loop"]
    for same in causes.values():
        worst = max(same, key=lambda one: int(one["held_ms"]))
        many = f", {len(same)} times" if len(same) > 1 else ""
        held = f"{worst['held_ms'] / 1000:.2f} s"
        lines.append(f"  {name_of(worst)} at {place(worst, here)}: {held}{many}: {worst.get('hint', '')}")
    return "\n".join(lines)


def name_of(stall: Stall) -> str:
    """Return the job function or route of a stall, or else whose loop it was."""
    return str(stall.get("function") or stall.get("route") or f"({stall.get('process', '?')})")


def place(stall: Stall, here: str) -> str:
    """Return file and line: from `here` on where the file is under it, else the last two parts of its path."""
    if not stall.get("file"):
        return "?"
    path = PurePath(str(stall["file"]))
    shown = path.relative_to(here) if path.is_relative_to(here) else PurePath(*path.parts[-2:])
    return f"{shown}:{stall['line']}" if stall.get("line") else str(shown)
