"""Records of stalls: the kinds that blame someone, names, fingerprints, the event of the feed, the complaint.

A complaint is the text that fails a build, a worker or a test.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from offload.domain.hangs import frames

Stall = Mapping[str, Any]
BLAMING = frozenset({"step", "callback"})
"""The kinds that blame a job, a route or a line; the others are caused by the machine, or by many short steps."""
_EVENT_MEMBERS = (
    "kind",
    "process",
    "worker",
    "function",
    "route",
    "file",
    "line",
    "call",
    "held_ms",
    "hint",
    "fingerprint",
)


def blaming(stalls: Iterable[Stall]) -> list[Stall]:
    """Return the stalls of a kind that blames someone."""
    return [stall for stall in stalls if stall["kind"] in BLAMING]


def counted_name(stall: Stall) -> str:
    """Return the name under which a stall is counted: its job function or route, `-` where it has neither."""
    return str(stall.get("function") or stall.get("route") or "-")


def shown_name(stall: Stall) -> str:
    """Return the name that a person is shown: the job function or route, else the kind of process, `(worker)`."""
    return str(stall.get("function") or stall.get("route") or f"({stall.get('process', '?')})")


def fingerprint(kind: str, name: str | None, file: str | None, qualname: str) -> str:
    """Return 12 hex digits that stalls of one cause share: kind, job function or route, file, and function of the line.

    The line number is not part of it, since it changes from release to release.
    """
    return hashlib.sha256(f"{kind}|{name}|{file}|{qualname}".encode()).hexdigest()[:12]


def fingerprint_of(stall: Stall) -> str:
    """Return the fingerprint of a record; where it has none, as after a hang, it is made with the help of the stack."""
    if known := stall.get("fingerprint"):
        return str(known)
    file = stall.get("file")
    qualname = next((frame.name for frame in frames(stall.get("stack") or "") if frame.file == file), "")
    return fingerprint(stall["kind"], stall.get("function") or stall.get("route"), file, qualname)


def event(stall: Stall) -> dict[str, Any]:
    """Return the data of the feed's event: the known members of a record, without code and stack."""
    return {name: stall[name] for name in _EVENT_MEMBERS if stall.get(name) is not None}


def complaint(stalls: Iterable[Stall], here: str) -> str:
    """Return a line with the number of stalls, and a line for the longest of each cause: name, place, time, hint.

    `here` is the working directory: files under it are named relative to it.
    """
    causes: dict[str, list[Stall]] = {}
    for stall in stalls:
        causes.setdefault(str(stall.get("fingerprint")), []).append(stall)
    count = sum(map(len, causes.values()))
    lines = [f"{count} {'stall' if count == 1 else 'stalls'} of an event loop"]
    for same in causes.values():
        longest = max(same, key=lambda stall: int(stall["held_ms"]))
        times = f", {len(same)} times" if len(same) > 1 else ""
        held = f"{longest['held_ms'] / 1000:.2f} s"
        lines.append(
            f"  {shown_name(longest)} at {shown_place(longest, here)}: {held}{times}: {longest.get('hint', '')}"
        )
    return "\n".join(lines)


def shown_place(stall: Stall, here: str) -> str:
    """Return file and line: relative to `here` where the file is under it, else the last two parts of its path."""
    if not stall.get("file"):
        return "?"
    path = PurePath(str(stall["file"]))
    shown = path.relative_to(here) if path.is_relative_to(here) else PurePath(*path.parts[-2:])
    return f"{shown}:{stall['line']}" if stall.get("line") else str(shown)
