"""What a watched loop says of itself in numbers, for metrics and for the list of workers."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """How one loop is doing; "since the last time" is since these figures were asked for before.

    `lag_ms` is by how much the loop's last beat was late, or by how much the one that is due is late by now;
    `max_lag_ms` the most of it since the last time. `busy` is the share (0 to 1) of the time since the last time in
    which steps of jobs and requests held the loop. `loop_ns` is what each job function or route (`GET /v1/jobs`) has
    taken of the loop since the watch began; beyond 200 names the rest is `other`.
    """

    lag_ms: float
    max_lag_ms: float
    busy: float
    loop_ns: Mapping[str, int]
