"""Events of jobs as values, and the filter by which readers choose them."""

from dataclasses import dataclass, field
from typing import Any

MISSED = "missed"
"""The event for a reader that was too slow, or away for too long: it lost `count` events, None if unknown."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job: `name` is the state entered, or `progress`, or `log`.

    `blocked` and `stalled` are about an event loop: `job_id` is the job that held it, empty if no job did.

    `id` is its place in the feed (`<ms>-<n>.<i>`), from which a reader resumes; `missed` has none.
    """

    id: str
    name: str
    job_id: str
    at_ms: int
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Selects events by job, functions, queues and names; None is all."""

    job_id: str | None = None
    functions: frozenset[str] | None = None
    queues: frozenset[str] | None = None
    names: frozenset[str] | None = None

    def matches(self, event: Event) -> bool:
        """Return True if the event fits; one without a function or queue does not fit a filter that has one."""
        return (
            (self.names is None or event.name in self.names)
            and (self.functions is None or event.data.get("function") in self.functions)
            and (self.queues is None or event.data.get("queue") in self.queues)
            and (self.job_id is None or event.job_id == self.job_id)
        )


def missed_event(count: int | None, at_ms: int) -> Event:
    """Return the event for a reader that lost `count` events."""
    return Event("", MISSED, "", at_ms, {"count": count})
