"""Events as a program receives them."""

from dataclasses import dataclass
from typing import Any

ENDED = frozenset({"succeeded", "dead", "aborted"})
"""The states that end a job, and the names of the events that end its stream."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `name` is the state that a job entered, or `progress`, `log`, `blocked`, `stalled`.

    `id` is the place from which a stream resumes. `data` has `job_id` and `at`; docs/reference/events.md lists the
    rest. The last event of a job that is followed has the document of the job as `job`.
    """

    id: str
    name: str
    data: dict[str, Any]
