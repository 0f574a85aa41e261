"""Tells people of stalls, in a thread of its own: neither the loop nor the watchdog ever waits for a log or Redis."""

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import structlog

from offload.loopwatch import describe
from offload.loopwatch.stall import Stall

log = structlog.get_logger(__name__)

Record = dict[str, Any]
_MOST = 1000
_AGAIN_S = 10.0  # one line of the log per fingerprint in this time
_ERROR_MS = 1000
_FINGERPRINTS = 1000
_FRESH_S = 5.0  # what lasts is said again this often
_FLUSH_S = 1.0  # what waits to be written is tried again this often


class StallSink(Protocol):
    """Where records go; each call may block, and may fail. `lost` counts those that got nowhere."""

    lost: int

    def keep(self, stall: Record) -> None:
        """Keep what has ended."""

    def flush(self) -> bool:
        """Try again what could not be kept; return whether something still waits."""

    def blocked(self, stall: Record, *, is_news: bool) -> None:
        """Say what holds the loop just now."""


class _Live(NamedTuple):
    """What holds the loop just now, and until when that is believed without another word of the watchdog."""

    record: Record
    told_at: float
    until: float


class Reporter(threading.Thread):
    """Makes a record of each stall, logs it and hands it on. The log comes first: it waits for nobody."""

    def __init__(self, process: str, worker: str | None, keeping: StallSink | Callable[[Record], None]) -> None:
        super().__init__(name="offload-stalls", daemon=True)
        self._process = process
        self._worker = worker
        self._keeping: StallSink = _Calling(keeping) if callable(keeping) else keeping
        self._queue: queue.Queue[Stall | None] = queue.Queue(_MOST)
        self._said: dict[str, tuple[float, int]] = {}
        self._live: _Live | None = None
        self._has_waiting = False
        self.dropped = 0
        self.counts: dict[tuple[str, str], tuple[int, float]] = {}

    @property
    def lost(self) -> int:
        """How many records found no way to where they are kept."""
        return self._keeping.lost

    def kinds(self) -> dict[str, int]:
        """Return how many stalls there were of each kind."""
        found: Counter[str] = Counter()
        for (kind, _), (count, _) in list(self.counts.items()):
            found[kind] += count
        return dict(found)

    def put(self, stall: Stall) -> None:
        """Take a stall; called by the watchdog, and never blocks. What finds no room is counted in `dropped`."""
        try:
            self._queue.put_nowait(stall)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Tell what is still to be told, and end; blocks while the last of it is told."""
        if self.is_alive():
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=5)
            self.join(5)

    def run(self) -> None:
        """Report until told to stop."""
        while True:
            try:
                stall = self._queue.get(timeout=self._patience())
            except queue.Empty:
                self._guarded(self._again)
                continue
            if stall is None:
                return
            self._guarded(self._report, stall)

    def _patience(self) -> float | None:
        return _FLUSH_S if self._has_waiting else _FRESH_S if self._live else None

    def _guarded(self, work: Callable[..., None], *args: Any) -> None:
        try:
            work(*args)
        except Exception:  # a report that fails must not be the last one
            log.exception("stall_not_reported")

    def _report(self, stall: Stall) -> None:
        record = describe.record(stall, self._process, self._worker)
        if not stall.is_over:
            now, held_s = time.monotonic(), record["held_ms"] / 1000
            log.warning("loop_blocked", held_s=round(held_s, 1), **_shown(record, but="held_ms"))
            self._live = _Live(record, now, now + held_s + _FRESH_S)  # the watchdog speaks when it has doubled
            self._keeping.blocked(record, is_news=True)
            return
        self._live = None
        name = record["function"] or record["route"] or "-"
        count, seconds = self.counts.get((record["kind"], name), (0, 0.0))
        if (record["kind"], name) in self.counts or len(self.counts) < _FINGERPRINTS:
            self.counts[record["kind"], name] = (count + 1, seconds + record["held_ms"] / 1000)
        self._log(record)
        self._keeping.keep(record)
        self._has_waiting = self._keeping.flush()

    def _again(self) -> None:
        """Write what could not be written, and say once more what still lasts."""
        self._has_waiting = self._keeping.flush()
        if (live := self._live) is None:
            return
        now = time.monotonic()
        if now > live.until:
            self._live = None
            return
        so_far = {**live.record, "held_ms": live.record["held_ms"] + round((now - live.told_at) * 1000)}
        self._keeping.blocked(so_far, is_news=False)

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


class _Calling:
    """Hands records on to a function, and says nothing of what lasts."""

    lost = 0

    def __init__(self, keep: Callable[[Record], None]) -> None:
        self.keep = keep

    def flush(self) -> bool:
        return False

    def blocked(self, stall: Record, *, is_news: bool) -> None:
        pass


def _shown(record: Record, but: str = "") -> Record:
    at = f"{record['file']}:{record['line']}" if record["file"] else None
    names = ("kind", "held_ms", "job_id", "function", "route", "call", "hint", "worker")
    known = {name: record[name] for name in names if name != but and record[name] not in (None, "")}
    return {**known, **({"at_line": at} if at else {})}
