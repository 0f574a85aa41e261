"""Tells people of stalls, in a thread of its own: neither the loop nor the watchdog ever waits for a log or Redis."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from service.loopwatch import records
from service.loopwatch.stall import Stall

log = structlog.get_logger(__name__)

Record = dict[str, Any]
_MOST = 1000
_AGAIN_S = 10.0  # one line of the log per fingerprint in this time
_ERROR_MS = 1000
_FINGERPRINTS = 1000


class Reporter(threading.Thread):
    """Makes a record of each stall and hands it on; `keep` may block and may fail, and is called with ended ones."""

    def __init__(self, process: str, worker: str | None, keep: Callable[[Record], None]) -> None:
        super().__init__(name="offload-stalls", daemon=True)
        self._process = process
        self._worker = worker
        self._keep = keep
        self._queue: queue.Queue[Stall | None] = queue.Queue(_MOST)
        self._said: dict[str, tuple[float, int]] = {}
        self.dropped = 0
        self.counts: dict[tuple[str, str], tuple[int, float]] = {}

    def put(self, stall: Stall) -> None:
        """Take a stall; called by the watchdog, and never blocks. What finds no room is counted in `dropped`."""
        try:
            self._queue.put_nowait(stall)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Tell what is still to be told, and end; blocks while the last of it is told."""
        if self.is_alive():
            self._queue.put(None)
            self.join(5)

    def run(self) -> None:
        """Report until told to stop."""
        while (stall := self._queue.get()) is not None:
            try:
                self._report(records.record(stall, self._process, self._worker), is_over=stall.is_over)
            except Exception:  # a report that fails must not be the last one
                log.exception("stall_not_reported")

    def _report(self, record: Record, *, is_over: bool) -> None:
        if is_over:
            name = record["function"] or record["route"] or "-"
            count, seconds = self.counts.get((record["kind"], name), (0, 0.0))
            if (record["kind"], name) in self.counts or len(self.counts) < _FINGERPRINTS:
                self.counts[record["kind"], name] = (count + 1, seconds + record["held_ms"] / 1000)
            self._log(record)
            self._keep(record)
        else:
            log.warning("loop_blocked", **_shown(record))

    def _log(self, record: Record) -> None:
        now, fingerprint = time.monotonic(), record["fingerprint"]
        last, suppressed = self._said.get(fingerprint, (-_AGAIN_S, 0))
        if now - last < _AGAIN_S:
            self._said[fingerprint] = (last, suppressed + 1)
            return
        if len(self._said) >= _FINGERPRINTS:
            self._said.clear()
        self._said[fingerprint] = (now, 0)
        write = log.error if record["held_ms"] >= _ERROR_MS and record["kind"] in ("step", "callback") else log.warning
        write("loop_stalled", **_shown(record), **({"suppressed": suppressed} if suppressed else {}))


def _shown(record: Record) -> Record:
    at = f"{record['file']}:{record['line']}" if record["file"] else None
    names = ("kind", "held_ms", "job_id", "function", "route", "call", "hint", "worker")
    return {**{name: record[name] for name in names if record[name] is not None}, **({"at_line": at} if at else {})}
