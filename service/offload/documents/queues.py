"""The documents of queues."""

from typing_extensions import TypedDict


class QueueDocument(TypedDict):
    """One queue; `oldest_at` is when its longest waiting due job became due."""

    name: str
    queued: int
    deferred: int
    running: int
    oldest_at: str | None
    paused: bool
    paused_by: str | None
    paused_at: str | None
    max_running: int | None
    rate: str | None
    links: dict[str, str]


class QueueList(TypedDict):
    """All queues that are declared or have been used."""

    items: list[QueueDocument]
    next: None
