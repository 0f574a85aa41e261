"""Events as a program receives them."""

from dataclasses import dataclass
from typing import Any

ENDED = frozenset({"succeeded", "dead", "aborted"})
"""The states that end a job, and the names of the events that end its stream."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `name` is the state that a job entered, or `progress`, `log`, `blocked`, `stalled`.

    `id` is where to go on from. `data` has `job_id` and `at`; docs/reference/events.md lists the rest. The terminal
    event of a job that is followed has its whole document as `job`.
    """

    id: str
    name: str
    data: dict[str, Any]
