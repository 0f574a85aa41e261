"""What a worker says of its event loop, in its beat and in the list of workers."""

from typing_extensions import TypedDict


class LoopDocument(TypedDict):
    """How a worker's event loop is doing, as of its last beat.

    `lag_ms` is by how much the loop was late, `max_lag_ms` the most of that since the beat before, `busy` the share of
    that time in which steps of jobs held it. Since the worker began: `functions` has what jobs took of the loop in ms,
    of the ten that took most; `stalls` counts by kind; of these `stalls_dropped` found no room in the worker, and
    `stalls_lost` no way to Redis.
    """

    lag_ms: float
    max_lag_ms: float
    busy: float
    functions: dict[str, float]
    stalls: dict[str, int]
    stalls_dropped: int
    stalls_lost: int
