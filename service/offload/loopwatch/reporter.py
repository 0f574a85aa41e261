"""Reports stalls from a thread of its own: neither the loop nor the watchdog waits for a log or for Redis."""

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import structlog

from offload.domain.stalls import BLAMING
from offload.loopwatch import describe
from offload.loopwatch.verdicts import Stall

log = structlog.get_logger(__name__)

Record = dict[str, Any]
_MAX_QUEUED = 1000
_LOG_INTERVAL_S = 10.0  # one log line per fingerprint in this time
_ERROR_MS = 1000
_MAX_FINGERPRINTS = 1000
_REFRESH_S = 5.0  # a stall that lasts is reported again this often
_FLUSH_S = 1.0  # records that wait to be written are tried again this often


class StallSink(Protocol):
    """A place for records; each call may block, and may fail. `lost` counts the records that were given up.

    A protocol, because the one that writes to Redis is in `store`, which this package does not import.
    """

    lost: int

    def keep(self, stall: Record) -> None:
        """Keep a stall that is over."""

    def flush(self) -> bool:
        """Try again to write the waiting records; return True while some still wait."""

    def blocked(self, stall: Record, *, is_news: bool) -> None:
        """Note a stall that lasts."""


class _Ongoing(NamedTuple):
    """A stall that lasts; it counts as over at `until`, unless the watchdog reports it again."""

    record: Record
    at: float
    until: float


class Reporter(threading.Thread):
    """Makes a record of each stall, logs it, then hands it to the sink; the log comes first, since a sink may block."""

    def __init__(self, process: str, worker: str | None, sink: StallSink | Callable[[Record], None]) -> None:
        super().__init__(name="offload-stalls", daemon=True)
        self._process = process
        self._worker = worker
        self._sink: StallSink = _FunctionSink(sink) if callable(sink) else sink
        self._queue: queue.Queue[Stall | None] = queue.Queue(_MAX_QUEUED)
        self._logged: dict[str, tuple[float, int]] = {}
        self._ongoing: _Ongoing | None = None
        self._has_waiting = False
        self.dropped = 0
        self.counts: dict[tuple[str, str], tuple[int, float]] = {}

    @property
    def lost(self) -> int:
        """The number of records that the sink gave up."""
        return self._sink.lost

    def kinds(self) -> dict[str, int]:
        """Return the number of stalls by kind."""
        kinds: Counter[str] = Counter()
        for (kind, _), (count, _) in list(self.counts.items()):
            kinds[kind] += count
        return dict(kinds)

    def add_stall(self, stall: Stall) -> None:
        """Queue a stall, on the watchdog's thread, without blocking; where the queue is full, count it in `dropped`."""
        try:
            self._queue.put_nowait(stall)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Report the queued stalls, and end; blocks for up to 5 s."""
        if self.is_alive():
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=5)
            self.join(5)

    def run(self) -> None:
        """Report until `stop` is called."""
        while True:
            try:
                stall = self._queue.get(timeout=self._wait_s())
            except queue.Empty:
                self._guarded(self._refresh)
                continue
            if stall is None:
                return
            self._guarded(self._report, stall)

    def _wait_s(self) -> float | None:
        return _FLUSH_S if self._has_waiting else _REFRESH_S if self._ongoing else None

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
            self._ongoing = _Ongoing(
                record, now, now + held_s + _REFRESH_S
            )  # the watchdog reports it when its time has doubled
            self._sink.blocked(record, is_news=True)
            return
        self._ongoing = None
        name = record["function"] or record["route"] or "-"
        count, seconds = self.counts.get((record["kind"], name), (0, 0.0))
        if (record["kind"], name) in self.counts or len(self.counts) < _MAX_FINGERPRINTS:
            self.counts[record["kind"], name] = (count + 1, seconds + record["held_ms"] / 1000)
        self._log(record)
        self._sink.keep(record)
        self._has_waiting = self._sink.flush()

    def _refresh(self) -> None:
        """Write the waiting records, and report again the stall under way."""
        self._has_waiting = self._sink.flush()
        if (live := self._ongoing) is None:
            return
        now = time.monotonic()
        if now > live.until:
            self._ongoing = None
            return
        so_far = {**live.record, "held_ms": live.record["held_ms"] + round((now - live.at) * 1000)}
        self._sink.blocked(so_far, is_news=False)

    def _log(self, record: Record) -> None:
        now, fingerprint = time.monotonic(), record["fingerprint"]
        last, suppressed = self._logged.get(fingerprint, (-_LOG_INTERVAL_S, 0))
        if now - last < _LOG_INTERVAL_S:
            self._logged[fingerprint] = (last, suppressed + 1)
            return
        if len(self._logged) >= _MAX_FINGERPRINTS:
            self._logged.clear()
        self._logged[fingerprint] = (now, 0)
        write = log.error if record["held_ms"] >= _ERROR_MS and record["kind"] in BLAMING else log.warning
        write("loop_stalled", **_shown(record), **({"suppressed": suppressed} if suppressed else {}))


class _FunctionSink:
    """Hands the records of stalls that are over to a function."""

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
