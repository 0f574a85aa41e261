"""One job of the demo, as its events describe it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ENDED = frozenset({"succeeded", "dead", "aborted"})
_NOT_STATES = frozenset({"log", "blocked", "stalled"})


@dataclass
class Run:
    """One job, from before it is enqueued until its result is checked. `expects` is its expected final status."""

    title: str
    function: str
    expects: str = "succeeded"
    id: str = ""
    status: str = "-"
    attempt: int = 0
    fraction: float | None = None
    message: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    gave: str = ""
    problems: list[str] = field(default_factory=list)
    is_checked: bool = False

    def take_event(self, name: str, data: dict[str, Any]) -> None:
        """Apply one event: progress, a log line, or the state that was entered."""
        if name == "progress":
            self.fraction = data.get("fraction")
            self.message = data.get("message") or ""
        elif name not in _NOT_STATES:
            self.status = name
            self.attempt = data.get("attempt") or self.attempt
        self.document = data.get("job") or self.document

    @property
    def result(self) -> Any:
        """The result in the job's document."""
        return self.document.get("result")

    @property
    def is_right(self) -> bool:
        """True if it ended, was checked, and has no problems."""
        return self.is_checked and not self.problems

    def attempts(self) -> list[tuple[float, float]]:
        """Return when each attempt started and ended, in seconds since the epoch."""
        spans = [(one["started_at"], one["ended_at"]) for one in self.document.get("attempts", ())]
        if self.status == "succeeded":
            spans.append((self.document["started_at"], self.document["finished_at"]))
        return [(_seconds(start), _seconds(end)) for start, end in spans if start and end]

    @property
    def wait(self) -> float | None:
        """Seconds between enqueueing and the start of the first attempt."""
        failed = self.document.get("attempts") or [self.document]
        start, enqueued = failed[0].get("started_at"), self.document.get("enqueued_at")
        return _seconds(start) - _seconds(enqueued) if start and enqueued else None

    @property
    def ran(self) -> float | None:
        """Duration of the last attempt in seconds."""
        start, end = self.document.get("started_at"), self.document.get("finished_at")
        return _seconds(end) - _seconds(start) if start and end else None

    def describe(self) -> dict[str, Any]:
        """Return the document for `--json`."""
        return {
            "title": self.title,
            "function": self.function,
            "id": self.id,
            "status": self.status,
            "attempts": self.attempt,
            "wait": self.wait,
            "ran": self.ran,
            "gave": self.gave,
            "ok": self.is_right,
            "problems": self.problems,
        }


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
