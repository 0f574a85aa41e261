"""The guardian: the only place that extends a worker's leases or gives its jobs back.

It is a process of its own because a job may hold the worker's event loop, or its GIL, for longer than a lease. Under
`offload worker` it is the worker's parent (`supervisor`); under the arq CLI it is this module's `main`, a child.
"""

import contextlib
import json
import math
import os
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from offload import logs
from offload.domain.errors import ErrorInfo, Unavailable
from offload.domain.hangs import Found
from offload.store.connection.outage import RedisOutage
from offload.store.guardian import LeaseGuard
from offload.worker.guardian import hangs
from offload.worker.guardian.hangs import STUCK_AFTER, Hang
from offload.worker.guardian.shared_page import Descriptors, SharedPage

log = structlog.get_logger(__name__)
_HELD_AFTER = 0.5  # seconds without a beat, two of which are due in it: learn what falls due while the loop is held
_LOOK_EVERY = 0.5  # seconds between looks at the worker's memory: what it was last tells why it died
_FIRST_LOOK = 0.05  # and after this a process that has just begun has loaded something
_AFTER_LIMIT = 0.002  # seconds: a limit is over when its millisecond is
_WAS_STOPPED = 1.0  # seconds that a look comes late: then this process was stopped, and so was the worker


@dataclass(frozen=True, slots=True)
class GuardedWorker:
    """Whom a guardian watches over, and what it must know to act for it."""

    worker: str
    address: Mapping[str, Any]
    lease_ms: int
    max_tries: int
    dead_ttl_ms: int


class Guardian:
    """Acts for one worker process; `first_in` seconds the first renewal is due."""

    def __init__(self, charge: GuardedWorker, pulse: SharedPage, *, first_in: float = 0.0) -> None:
        self._charge = charge
        self._pulse = pulse
        self._due = self._next_look = time.monotonic() + first_in
        self._guard = LeaseGuard(charge.address, charge.worker, charge.lease_ms)
        self._rss: int | None = None
        self._pause = _FIRST_LOOK
        self._is_held = False
        self._awake_since = 0.0
        self._kills_at: float | None = None
        self._outage = RedisOutage(worker=charge.worker, guardian=True)
        self._hang: Hang | None = None
        self._found: Found | None = None
        self._overdue: list[str] = []

    @property
    def has_killed(self) -> bool:
        """Whether it was this guardian that ended the worker."""
        return self._hang is not None

    @property
    def has_turned(self) -> bool:
        """Whether the worker's event loop has ever turned."""
        return self._pulse.last_beat() is not None

    @property
    def kills_in(self) -> float | None:
        """In how many seconds it kills the worker, should the loop not come back; None while nothing like that is near.

        That is known as soon as the loop is held, no sooner.
        """
        return None if self._kills_at is None else self._kills_at - time.monotonic()

    def look(self, pid: int) -> float:
        """Note the worker's memory, extend its leases when that is due; return the seconds until the next look.

        Once the loop is held, what it costs to be exact is one renewal: it tells when the first job is past its limit.
        """
        now = time.monotonic()
        if now - self._next_look > _WAS_STOPPED:
            self._awake_since = now
        self._rss = rss_bytes(pid) or self._rss
        was_held, self._is_held = self._is_held, self._held_s() > _HELD_AFTER
        if self._is_held and not was_held:
            self._due = now
        if not self._is_held:
            self._kills_at = None
        if (left := self._due - now) <= 0:
            left = self._renew(pid)
            self._due = time.monotonic() + left
        self._pause = min(self._pause * 1.5, _LOOK_EVERY)
        wait = min(left, self._pause)
        self._next_look = time.monotonic() + wait
        return wait

    def _held_s(self) -> float:
        """Return for how long the loop has not turned, as far as this process was there to see it."""
        at = self._pulse.last_beat()
        return 0.0 if at is None else time.monotonic() - max(at, self._awake_since)

    def _renew(self, pid: int) -> float:
        """Extend the leases every third of a lease; return the seconds until the next time, sooner after a failure."""
        interval = self._charge.lease_ms / 3000
        try:
            lost, overdue, next_in = self._guard.renew()
        except Unavailable as error:
            return min(self._outage.failed("renewals", error), interval)
        self._outage.served("renewals")
        if lost:
            log.warning("leases_lost", worker=self._charge.worker, job_ids=lost)
        if overdue:
            log.warning("jobs_overdue", worker=self._charge.worker, job_ids=overdue)
        if not self._is_held:
            return min(interval, _LOOK_EVERY) if overdue else interval
        stuck_in = STUCK_AFTER - self._held_s()
        if overdue and stuck_in <= 0:
            self._kill(pid, overdue)
            return interval
        limit_in = 0.0 if overdue else math.inf if next_in is None else next_in
        kills_in = max(limit_in, stuck_in, 0.0) + _AFTER_LIMIT
        self._kills_at = time.monotonic() + kills_in
        return min(interval, kills_in)

    def _kill(self, pid: int, overdue: list[str]) -> None:
        """End a worker whose loop is held past its jobs' limit: only from outside can a timeout be enforced then."""
        hang = self._hang = hangs.end(pid, self._pulse, self._held_s())
        self._overdue = overdue
        found = hang.found([], overdue)
        with contextlib.suppress(Unavailable):
            found = self._find_out(hang)
            self._guard.record_stall(found.record(self._charge.worker))
        who = {"job_id": found.job_id, "function": found.function}
        about = {"worker": self._charge.worker, "job_ids": overdue, "held_s": round(hang.held_s, 1)}
        log.error("worker_stuck", **about, **who, reason=str(hang.verdict), stack=hang.stack)

    def _find_out(self, hang: Hang) -> Found:
        """Say who held the loop, by what Redis says the worker runs; raises Unavailable."""
        if self._found is None:
            self._found = hang.found(self._guard.running(), self._overdue)
        return self._found

    def release(self, how: str, **known: Any) -> None:
        """Give the jobs of the dead worker back, trying for a lease while Redis is away; then they are due anyhow.

        `known` says more of its end: `signal` or `exit_code`. Where one job is known to have held the loop, its attempt
        alone counts.
        """
        ends = time.monotonic() + self._charge.lease_ms / 1000
        while True:
            try:
                found = self._find_out(self._hang) if self._hang is not None else None
                reason, culprit = self._reason(how, known, found), found.job_id if found and found.is_exact else None
                given, dead = self._guard.release(self._charge.max_tries, self._charge.dead_ttl_ms, reason, culprit)
            except Unavailable as error:
                if time.monotonic() > ends:
                    log.warning("release_failed", worker=self._charge.worker, error=str(error))
                    return
                time.sleep(self._outage.failed("release", error))
            else:
                self._outage.served("release")
                if given or dead:
                    log.warning("worker_lost", worker=self._charge.worker, how=how, requeued=given, dead=dead)
                return

    def _reason(self, how: str, known: dict[str, Any], found: Found | None) -> ErrorInfo:
        """Say why the attempts of a dead worker were lost."""
        memory = f", last seen using {self._rss / 1_048_576:.0f} MiB" if self._rss else ""
        beat = self._pulse.last_beat()
        age = None if beat is None else time.monotonic() - beat
        details = {**known, "rss_bytes": self._rss, "last_beat_s": None if age is None else round(age, 2)}
        message, stack = f"worker {self._charge.worker} {how}{memory}", ""
        if found is not None:
            message = f"{message}: {found.sentence()}, past a job's limit"
            details, stack = {**details, **found.details()}, found.stack
        elif age is not None and age > STUCK_AFTER:
            message = f"{message}, its event loop held for {age:.1f} s"
        return ErrorInfo("WorkerLost", message, stack, details)

    def close(self) -> None:
        """Close the connection."""
        self._guard.close()


def rss_bytes(pid: int) -> int | None:
    """Return the resident memory of a process in bytes, None where /proc does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGESIZE")


def main() -> None:
    """Watch over the process at the other end of stdin: its first line is the charge, `bye` means it stops in order.

    When stdin ends without that word the worker is dead. A line on stdout says that this process renews from now on.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logs.configure("INFO", "auto")
    told = json.loads(_first_line())
    pid, fds = told.pop("pid"), told.pop("pulse_fds")
    guardian = Guardian(GuardedWorker(**told), SharedPage(Descriptors(*fds)))
    wait, has_said = 0.0, False
    with contextlib.closing(guardian):
        while True:
            readable, _, _ = select.select([0], [], [], wait)
            if not readable:
                wait = guardian.look(pid)
                if not has_said:
                    has_said = True
                    with contextlib.suppress(OSError):  # the worker is dead: stdin says so next
                        os.write(1, b"renewing\n")
            elif os.read(0, 1024):
                return
            else:
                guardian.release(f"(process {pid}) died without a word")
                return


def _first_line() -> bytes:
    """Read one line byte by byte: a buffer would swallow the word that may follow."""
    line = b""
    while not line.endswith(b"\n") and (one := os.read(0, 1)):
        line += one
    return line or b"{}"


if __name__ == "__main__":
    main()
