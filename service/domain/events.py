"""What happens to jobs, as values."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job: `name` is the state entered, or `progress`, or `log`.

    `id` is its place in the feed (`<ms>-<n>.<i>`), by which a reader resumes.
    """

    id: str
    name: str
    job_id: str
    at_ms: int
    data: dict[str, Any] = field(default_factory=dict)
