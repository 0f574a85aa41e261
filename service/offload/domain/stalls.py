"""What the record of a stall says, whoever made it: whose fault it can be, its name, its cause, what the feed tells."""

import hashlib
from collections.abc import Mapping
from typing import Any

from offload.domain.hangs import frames

BLAMING = frozenset({"step", "callback"})
"""The kinds that are somebody's fault."""
_TOLD = ("kind", "process", "worker", "function", "route", "file", "line", "call", "held_ms", "hint", "fingerprint")


def name_of(stall: Mapping[str, Any]) -> str:
    """Return the name that a stall is counted under: its job function or route, `-` where it has neither."""
    return str(stall.get("function") or stall.get("route") or "-")


def fingerprint(stall: Mapping[str, Any]) -> str:
    """Return what stalls of one cause have in common, made where the record does not bring it: 12 hex digits."""
    given = stall.get("fingerprint")
    innermost = next((f.name for f in frames(stall.get("stack") or "") if f.file == stall.get("file")), "")
    about = f"{stall['kind']}|{stall.get('function') or stall.get('route')}|{stall.get('file')}|{innermost}"
    return str(given or hashlib.sha256(about.encode()).hexdigest()[:12])


def event(stall: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the feed says of a stall: what is known of these, and neither code nor stack."""
    return {name: stall[name] for name in _TOLD if stall.get(name) is not None}
