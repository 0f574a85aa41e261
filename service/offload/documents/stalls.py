"""The documents of stalls: one, those of one cause, and pages of both."""

from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict

from offload.documents.schema import example

StallKind: TypeAlias = Literal["step", "callback", "saturated", "gc", "starved", "gil-other-thread", "startup"]

_STALL: dict[str, Any] = {
    "at": "2026-11-22T09:30:00.125Z",
    "kind": "step",
    "process": "worker",
    "worker": "web-1-4021-9f3c2a",
    "job_id": "019ab1f5e0c4b7a0c8d4e5f60718293a",
    "function": "fetch.page",
    "route": None,
    "file": "/app/jobs/fetch.py",
    "line": 41,
    "line_exact": True,
    "code": "page = requests.get(url)",
    "call": "requests.get(url)",
    "callee": "SocketIO.readinto (socket.py)",
    "held_ms": 3020,
    "cpu_ms": 1.2,
    "gc_ms": 0.0,
    "waited_ms": 0.1,
    "suspects": [],
    "samples": 9,
    "stack": '  File "/usr/lib/python3.11/socket.py", line 700 in SocketIO.readinto',
    "hint": "`requests.get(url)` in jobs/fetch.py:41 held the loop 3.02 s: use httpx.AsyncClient …",
    "fingerprint": "5f2b7c9d0e1a",
}


class SuspectDocument(TypedDict):
    """A thread that may have kept the loop from the GIL: its job, and its place, where they are known."""

    thread: str
    job_id: str | None
    function: str | None
    file: str | None
    line: int | None
    call: str | None


@example(**_STALL)
class StallDocument(TypedDict):
    """A stall of an event loop: job or route, line, time and hint.

    Only the kinds `step` and `callback` blame a job, a route or a line. Stalls of one cause share their `fingerprint`.
    Of a stall that lasts, `at` is its beginning. Of `held_ms` the loop's thread computed for `cpu_ms`, Python collected
    garbage for `gc_ms`, and the thread waited for a processor for `waited_ms`; `suspects` are threads that may have
    held the GIL; `reason` is why the worker was killed, if it was.
    """

    at: str
    kind: StallKind
    process: str
    worker: str | None
    job_id: str | None
    function: str | None
    route: str | None
    file: str | None
    line: int | None
    code: str | None
    call: NotRequired[str | None]
    callee: str | None
    held_ms: int
    stack: str
    hint: str
    reason: NotRequired[str]
    line_exact: NotRequired[bool]
    cpu_ms: NotRequired[float]
    gc_ms: NotRequired[float]
    waited_ms: NotRequired[float]
    suspects: NotRequired[list[SuspectDocument]]
    samples: NotRequired[int]
    fingerprint: NotRequired[str]


class StallList(TypedDict):
    """One page of stalls, newest first, and those that last, the longest first."""

    items: list[StallDocument]
    ongoing: list[StallDocument]
    next: str | None


@example(
    fingerprint="5f2b7c9d0e1a",
    count=12,
    held_ms=36240,
    max_ms=3411,
    first_at="2026-11-21T08:02:11.003Z",
    last_at="2026-11-22T09:30:00.125Z",
    last=_STALL,
)
class StallGroupDocument(TypedDict):
    """All stalls of one cause: count, total and longest time in ms, first and last time, the last stall."""

    fingerprint: str
    count: int
    held_ms: int
    max_ms: int
    first_at: str
    last_at: str
    last: StallDocument


class StallGroupList(TypedDict):
    """One page of causes, the most total time first."""

    items: list[StallGroupDocument]
    next: str | None


@example(cleared=12)
class ClearedDocument(TypedDict):
    """The number of stalls that were listed."""

    cleared: int
