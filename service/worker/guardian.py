"""The guardian: the only place that extends a worker's leases or gives its jobs back.

It is a process of its own because a job may hold the worker's event loop, or its GIL, for longer than a lease. Under
`offload worker` it is the worker's parent (`supervisor`); under the arq CLI it is this module's `main`, a child.
"""

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from service import logs
from service.domain.errors import ErrorInfo, Unavailable
from service.store.guard import LeaseGuard

log = structlog.get_logger(__name__)
_RELEASE_PAUSE = 0.5
_LOOK_EVERY = 0.5  # seconds between looks at the worker's memory: what it was last tells why it died


@dataclass(frozen=True, slots=True)
class Charge:
    """Whom a guardian watches over, and what it must know to act for it."""

    worker: str
    address: Mapping[str, Any]
    lease_ms: int
    max_tries: int
    kept_ms: int


class Guardian:
    """Acts for one worker process; `first_in` seconds the first renewal is due."""

    def __init__(self, charge: Charge, *, first_in: float = 0.0) -> None:
        self._charge = charge
        self._due = time.monotonic() + first_in
        self._guard = LeaseGuard(charge.address, charge.worker, charge.lease_ms)
        self._rss: int | None = None
        self._is_away = False

    def look(self, pid: int) -> float:
        """Note the worker's memory, extend its leases when that is due; return the seconds until the next look."""
        self._rss = rss_bytes(pid) or self._rss
        if (left := self._due - time.monotonic()) <= 0:
            left = self._renew()
            self._due = time.monotonic() + left
        return min(left, _LOOK_EVERY)

    def _renew(self) -> float:
        """Extend the leases every third of a lease; return the seconds until the next time, sooner after a failure."""
        interval = self._charge.lease_ms / 3000
        try:
            lost, overdue = self._guard.renew()
        except Unavailable as error:
            if not self._is_away:
                log.warning("renewal_failed", worker=self._charge.worker, error=str(error))
            self._is_away = True
            return min(1.0, interval)
        if self._is_away:
            log.info("renewal_resumed", worker=self._charge.worker)
            self._is_away = False
        if lost:
            log.warning("leases_lost", worker=self._charge.worker, job_ids=lost)
        if overdue:
            log.warning("jobs_overdue", worker=self._charge.worker, job_ids=overdue)
        return interval

    def release(self, how: str) -> None:
        """Give the jobs of the dead worker back, trying for a lease while Redis is away; then they are due anyhow."""
        memory = f", last seen using {self._rss / 1_048_576:.0f} MiB" if self._rss else ""
        reason = ErrorInfo("WorkerLost", f"worker {self._charge.worker} {how}{memory}")
        ends = time.monotonic() + self._charge.lease_ms / 1000
        while True:
            try:
                given, dead = self._guard.release(self._charge.max_tries, self._charge.kept_ms, reason)
            except Unavailable as error:
                if time.monotonic() > ends:
                    log.warning("release_failed", worker=self._charge.worker, error=str(error))
                    return
                time.sleep(_RELEASE_PAUSE)
            else:
                if given or dead:
                    log.warning("worker_lost", worker=self._charge.worker, how=how, put_back=given, dead=dead)
                return

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
    pid = told.pop("pid")
    guardian = Guardian(Charge(**told))
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
