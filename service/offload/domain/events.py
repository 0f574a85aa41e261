"""What happens to jobs, as values, and which of it somebody wants to hear."""

from dataclasses import dataclass, field
from typing import Any

MISSED = "missed"
"""What a reader is told who was too slow, or away too long: `count` events are lost to it, None if unknown."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job: `name` is the state entered, or `progress`, or `log`.

    `blocked` and `stalled` are about an event loop: of the job that holds it, if it is one; else `job_id` is empty.

    `id` is its place in the feed (`<ms>-<n>.<i>`), by which a reader resumes; `missed` has none.
    """

    id: str
    name: str
    job_id: str
    at_ms: int
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events somebody wants: of one job, of some functions, on some queues, of some names; None is all."""

    job_id: str | None = None
    functions: frozenset[str] | None = None
    queues: frozenset[str] | None = None
    names: frozenset[str] | None = None

    def takes(self, event: Event) -> bool:
        """Whether the event is wanted; one that does not say its function or queue is not, where one is asked for."""
        return (
            (self.names is None or event.name in self.names)
            and (self.functions is None or event.data.get("function") in self.functions)
            and (self.queues is None or event.data.get("queue") in self.queues)
            and (self.job_id is None or event.job_id == self.job_id)
        )


def missed(count: int | None, at_ms: int) -> Event:
    """Say that a reader lost so many events."""
    return Event("", MISSED, "", at_ms, {"count": count})
