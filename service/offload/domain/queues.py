"""Queues as values: a queue is the unit of limits, so it is declared next to the resource that it protects."""

import re
from dataclasses import dataclass

from offload.domain.errors import InvalidDefinition

DEFAULT_QUEUE = "default"
BAND_MS = 10_000_000_000_000
"""The distance between two priorities in the scores of a queue: more than any time in ms."""
QUEUE_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$"
_NAME = re.compile(QUEUE_PATTERN)
_RATE = re.compile(r"(\d+)/(\d*)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and its limits over the whole fleet.

    `max_running` is how many of its jobs may run at once (None: no limit), `rate` how many may start in a window,
    as in `"10/s"`, `"100/m"`, `"5/30s"`. `priority` orders claims: a worker empties higher numbers first.
    """

    name: str = DEFAULT_QUEUE
    max_running: int | None = None
    rate: str | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        check_queue_name(self.name)
        if self.max_running is not None and self.max_running < 1:
            msg = f"Queue({self.name!r}, max_running={self.max_running}) must be at least 1, or None for no limit"
            raise InvalidDefinition(msg)
        if self.rate is not None:
            parse_rate(self.rate)


def check_queue_name(name: str) -> str:
    """Return the name; raises InvalidDefinition, with the rule, for a bad one."""
    if not _NAME.fullmatch(name):
        msg = f"{name!r} is not a queue name: up to 100 letters, digits and _ . : - that begin with a letter or digit"
        raise InvalidDefinition(msg)
    return name


def parse_rate(rate: str) -> tuple[int, int]:
    """Return `(count, window_ms)` of a rate such as `10/s` or `5/30s`."""
    match = _RATE.fullmatch(rate)
    if not match or int(match[1]) < 1 or match[2] == "0":
        msg = f"rate {rate!r} is not valid: use a form such as '10/s', '100/m' or '5/30s'"
        raise InvalidDefinition(msg)
    return int(match[1]), int(match[2] or 1) * _SECONDS[match[3]] * 1000


def due_of(score: float) -> int:
    """Return when a job is due by its score in a queue: that time, less a band for each priority."""
    return int(score) % BAND_MS if score < 0 else int(score)


def priority_of(score: float) -> int:
    """Return the priority, 0 to 9, that the score has; 0 for a job that is not due yet."""
    return -(int(score) // BAND_MS) if score < 0 else 0
