"""The guardian: a process beside a worker that extends its leases, and releases its jobs when it is dead.

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
from offload.domain.hangs import HangReport
from offload.store.connection.outage import RedisOutage
from offload.store.guardian import LeaseGuard
from offload.worker.guardian.hang import STUCK_AFTER_S, Hang, end_worker
from offload.worker.guardian.shared_page import Descriptors, SharedPage

log = structlog.get_logger(__name__)
_HELD_AFTER_S = 0.5  # without a beat, two of which are due in it: learn what falls due while the loop is held
_CHECK_EVERY_S = 0.5  # between checks of the worker's memory: the last figure tells why it died
_FIRST_CHECK_S = 0.05  # after which a process that has just begun has loaded something
_AFTER_LIMIT_S = 0.002  # a limit is over when its millisecond is
_WAS_STOPPED_S = 1.0  # a check that comes so late: this process was stopped, and so was the worker


@dataclass(frozen=True, slots=True)
class GuardedWorker:
    """The worker that a guardian acts for; `address` as from `store.connection.blocking.portable`."""

    worker: str
    address: Mapping[str, Any]
    lease_ms: int
    max_tries: int
    dead_ttl_ms: int


class Guardian:
    """Acts for one worker process; its first renewal is due in `first_in` seconds."""

    def __init__(self, guarded: GuardedWorker, page: SharedPage, *, first_in: float = 0.0) -> None:
        self._guarded = guarded
        self._page = page
        self._renewal_at = self._next_check_at = time.monotonic() + first_in
        self._leases = LeaseGuard(guarded.address, guarded.worker, guarded.lease_ms)
        self._rss: int | None = None
        self._pause = _FIRST_CHECK_S
        self._is_held = False
        self._awake_since = 0.0
        self._kills_at: float | None = None
        self._outage = RedisOutage(worker=guarded.worker, guardian=True)
        self._hang: Hang | None = None
        self._report: HangReport | None = None
        self._overdue: list[str] = []

    @property
    def has_killed(self) -> bool:
        """True when this guardian ended the worker."""
        return self._hang is not None

    @property
    def has_turned(self) -> bool:
        """True once the event loop of the worker has turned."""
        return self._page.last_beat() is not None

    @property
    def kills_in(self) -> float | None:
        """The seconds until it kills the worker, should the loop not come back; None while that is not near.

        It is known as soon as the loop is held, no sooner.
        """
        return None if self._kills_at is None else self._kills_at - time.monotonic()

    def check_worker(self, pid: int) -> float:
        """Note the worker's memory, extend its leases when that is due; return the seconds until the next check.

        Once the loop is held, one renewal more tells when the first job is past its limit.
        """
        now = time.monotonic()
        if now - self._next_check_at > _WAS_STOPPED_S:
            self._awake_since = now
        self._rss = rss_bytes(pid) or self._rss
        was_held, self._is_held = self._is_held, self._held_s() > _HELD_AFTER_S
        if self._is_held and not was_held:
            self._renewal_at = now
        if not self._is_held:
            self._kills_at = None
        if (renewal_in := self._renewal_at - now) <= 0:
            renewal_in = self._renew(pid)
            self._renewal_at = time.monotonic() + renewal_in
        self._pause = min(self._pause * 1.5, _CHECK_EVERY_S)
        wait = min(renewal_in, self._pause)
        self._next_check_at = time.monotonic() + wait
        return wait

    def _held_s(self) -> float:
        """Return the time for which the loop has not turned, not counting times when this process was suspended."""
        at = self._page.last_beat()
        return 0.0 if at is None else time.monotonic() - max(at, self._awake_since)

    def _renew(self, pid: int) -> float:
        """Extend the leases every third of a lease; return the seconds until the next time, sooner after a failure."""
        interval = self._guarded.lease_ms / 3000
        try:
            lost, overdue, next_in = self._leases.renew()
        except Unavailable as error:
            return min(self._outage.failed("renewals", error), interval)
        self._outage.served("renewals")
        if lost:
            log.warning("leases_lost", worker=self._guarded.worker, job_ids=lost)
        if overdue:
            log.warning("jobs_overdue", worker=self._guarded.worker, job_ids=overdue)
        if not self._is_held:
            return min(interval, _CHECK_EVERY_S) if overdue else interval
        stuck_in = STUCK_AFTER_S - self._held_s()
        if overdue and stuck_in <= 0:
            self._kill(pid, overdue)
            return interval
        limit_in = 0.0 if overdue else math.inf if next_in is None else next_in
        kills_in = max(limit_in, stuck_in, 0.0) + _AFTER_LIMIT_S
        self._kills_at = time.monotonic() + kills_in
        return min(interval, kills_in)

    def _kill(self, pid: int, overdue: list[str]) -> None:
        """End a worker that holds its loop past its jobs' limit: only from outside can a timeout be enforced then."""
        hang = self._hang = end_worker(pid, self._page, self._held_s())
        self._overdue = overdue
        report = hang.report([], overdue)
        with contextlib.suppress(Unavailable):
            report = self._hang_report(hang)
            self._leases.record_stall(report.stall_record(self._guarded.worker))
        log.error(
            "worker_stuck",
            worker=self._guarded.worker,
            job_ids=overdue,
            held_s=round(hang.held_s, 1),
            job_id=report.job_id,
            function=report.function,
            reason=str(hang.verdict),
            stack=hang.stack,
        )

    def _hang_report(self, hang: Hang) -> HangReport:
        """Report which job held the loop, of those that the worker runs by Redis; raises Unavailable."""
        if self._report is None:
            self._report = hang.report(self._leases.running(), self._overdue)
        return self._report

    def release_jobs(self, how: str, **details: Any) -> None:
        """Release the jobs of the dead worker, for one lease while Redis is unavailable: then they are due anyway.

        `details` of its end are `signal` or `exit_code`. Where one job is known to have held the loop, only its attempt
        counts.
        """
        ends = time.monotonic() + self._guarded.lease_ms / 1000
        while True:
            try:
                report = self._hang_report(self._hang) if self._hang is not None else None
                reason = self._reason(how, details, report)
                culprit = report.job_id if report is not None and report.is_exact else None
                requeued, dead = self._leases.release(
                    self._guarded.max_tries, self._guarded.dead_ttl_ms, reason, culprit
                )
            except Unavailable as error:
                if time.monotonic() > ends:
                    log.warning("release_failed", worker=self._guarded.worker, error=str(error))
                    return
                time.sleep(self._outage.failed("release", error))
            else:
                self._outage.served("release")
                if requeued or dead:
                    log.warning("worker_lost", worker=self._guarded.worker, how=how, requeued=requeued, dead=dead)
                return

    def _reason(self, how: str, known: dict[str, Any], report: HangReport | None) -> ErrorInfo:
        """Return the error of the attempts that were lost with the worker."""
        memory = f", last seen using {self._rss / 1_048_576:.0f} MiB" if self._rss else ""
        beat = self._page.last_beat()
        age = None if beat is None else time.monotonic() - beat
        details = {**known, "rss_bytes": self._rss, "last_beat_s": None if age is None else round(age, 2)}
        message, stack = f"worker {self._guarded.worker} {how}{memory}", ""
        if report is not None:
            message = f"{message}: {report.sentence()}, past a job's limit"
            details, stack = {**details, **report.details()}, report.stack
        elif age is not None and age > STUCK_AFTER_S:
            message = f"{message}, its event loop held for {age:.1f} s"
        return ErrorInfo("WorkerLost", message, stack, details)

    def close(self) -> None:
        """Close the connection."""
        self._leases.close()


def rss_bytes(pid: int) -> int | None:
    """Return the resident memory of a process in bytes; None if there is no /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGESIZE")


def main() -> None:
    """Act for the process at the other end of stdin: its first line describes the worker, `bye` ends this in order.

    When stdin ends without `bye` the worker is dead. A line on stdout says that this process renews from now on.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logs.configure("INFO", "auto")
    start = json.loads(_first_line())
    pid, fds = start.pop("pid"), start.pop("page_fds")
    guardian = Guardian(GuardedWorker(**start), SharedPage(Descriptors(*fds)))
    wait, has_reported = 0.0, False
    with contextlib.closing(guardian):
        while True:
            readable, _, _ = select.select([0], [], [], wait)
            if not readable:
                wait = guardian.check_worker(pid)
                if not has_reported:
                    has_reported = True
                    with contextlib.suppress(OSError):  # the worker is dead: stdin ends next
                        os.write(1, b"renewing\n")
            elif os.read(0, 1024):
                return
            else:
                guardian.release_jobs(f"(process {pid}) ended without a report")
                return


def _first_line() -> bytes:
    """Read one line byte by byte: a buffer would swallow the `bye` that may follow."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line or b"{}"


if __name__ == "__main__":
    main()
