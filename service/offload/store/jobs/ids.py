"""Ids of jobs: in the order in which one process made them, and never the same twice."""

import os
from dataclasses import dataclass


def new_id(at_ms: int) -> str:
    """Return a job id: 32 hex digits, the first twelve the time in ms, so that ids sort by age."""
    return new_ids(at_ms, 1)[0]


def new_ids(at_ms: int, count: int) -> list[str]:
    """Return job ids of one time, in their order; many cost the system one call.

    Redis takes jobs of one ms in the order of their ids, so six digits behind the time count on within this process:
    jobs that one caller enqueues are claimed in that order. The fourteen that follow are random.
    """
    first = _made.count % _COUNTED if at_ms == _made.at_ms else 0
    _made.at_ms, _made.count = at_ms, first + count
    chance = os.urandom(7 * count).hex()
    time = f"{at_ms:012x}"
    return [f"{time}{(first + n) % _COUNTED:06x}{chance[14 * n : 14 * n + 14]}" for n in range(count)]


_COUNTED = 1 << 24


@dataclass(slots=True)
class _Made:
    """The number of ids that this process has made in the last ms in which it made any."""

    at_ms: int = 0
    count: int = 0


_made = _Made()
