"""Calls in threads that were to end and did not: counted, named in the log, and too many of them for one worker told.

Nothing can end a thread from outside. Its job was aborted, or its time was up, and yet it runs on: it may come back in
a moment or never.
"""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from offload.loopwatch.user_code import FOREIGN

if TYPE_CHECKING:
    from offload.worker.executors.threads import Call

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose call it is."""

    job_id: str
    function: str


class Leaks:
    """All of one worker; `grace` seconds a call may take to end, `full` is called when there are `most` (0: never)."""

    def __init__(self, grace: float, most: int) -> None:
        self.grace = grace
        self._most = most
        self._calls: set[Call] = set()
        self.full: Callable[[int], None] = lambda _: None

    def add(self, call: "Call", queue: str) -> None:
        """Count a call that was to end; call it on the event loop."""
        self._calls.add(call)
        who = _named(call.owner)
        log.warning("thread_leaked", **who, queue=queue, at=whereabouts(call.thread_id), leaked=len(self._calls))
        if self._most and len(self._calls) >= self._most:
            self.full(len(self._calls))

    def remove(self, call: "Call", queue: str) -> None:
        """Say that such a call has come back."""
        self._calls.discard(call)
        took = round(time.monotonic() - call.begun_at, 1)
        log.info("thread_returned", **_named(call.owner), queue=queue, after_s=took, leaked=len(self._calls))


def whereabouts(thread_id: int | None) -> str | None:
    """Return file and line at which a thread is: the user's own, or where it is in a library if it has none."""
    was_enabled = gc.isenabled()
    gc.disable()  # a collection inside it can deadlock before Python 3.11.9 (gh-106883)
    try:
        frame = innermost = sys._current_frames().get(thread_id or 0)  # noqa: SLF001 - the only way to ask
    finally:
        if was_enabled:
            gc.enable()
    while frame is not None and frame.f_code.co_filename.startswith((*FOREIGN, "<")):
        frame = frame.f_back
    found = frame or innermost
    return f"{found.f_code.co_filename}:{found.f_lineno}" if found is not None else None


def _named(owner: Owner | None) -> dict[str, str]:
    return {"job_id": owner.job_id, "function": owner.function} if owner is not None else {}
