"""The guardian: the only place that extends a worker's leases or gives its jobs back.

It is a process of its own because a job may hold the worker's event loop, or its GIL, for longer than a lease. Under
`offload worker` it is the worker's parent (`supervisor`); under the arq CLI it is this module's `main`, a child.
"""

import contextlib
import json
import linecache
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
from service.domain import stalls
from service.domain.errors import ErrorInfo, Unavailable
from service.domain.stalls import Suspect
from service.loopwatch.foreign import FOREIGN
from service.store.away import Away
from service.store.guard import LeaseGuard
from service.worker.pulse import DUMP, Pulse

log = structlog.get_logger(__name__)
# Code that is nobody's job: Python's, libraries', ours.
_STUCK_AFTER = 1.0  # seconds without a beat, beside a job past its time, make a worker stuck
_DUMP_WAIT = 0.2
_LOOK_EVERY = 0.5  # seconds between looks at the worker's memory: what it was last tells why it died
_FIRST_LOOK = 0.05  # and after this a process that has just begun has loaded something


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

    def __init__(self, charge: Charge, pulse: Pulse, *, first_in: float = 0.0) -> None:
        self._charge = charge
        self._pulse = pulse
        self._due = time.monotonic() + first_in
        self._guard = LeaseGuard(charge.address, charge.worker, charge.lease_ms)
        self._rss: int | None = None
        self._pause = _FIRST_LOOK
        self._away = Away(worker=charge.worker, guardian=True)

    def look(self, pid: int) -> float:
        """Note the worker's memory, extend its leases when that is due; return the seconds until the next look."""
        self._rss = rss_bytes(pid) or self._rss
        if (left := self._due - time.monotonic()) <= 0:
            left = self._renew(pid)
            self._due = time.monotonic() + left
        self._pause = min(self._pause * 1.5, _LOOK_EVERY)
        return min(left, self._pause)

    def _renew(self, pid: int) -> float:
        """Extend the leases every third of a lease; return the seconds until the next time, sooner after a failure."""
        interval = self._charge.lease_ms / 3000
        try:
            lost, overdue = self._guard.renew()
        except Unavailable as error:
            return min(self._away.failed("renewals", error), interval)
        self._away.served("renewals")
        if lost:
            log.warning("leases_lost", worker=self._charge.worker, job_ids=lost)
        if overdue:
            log.warning("jobs_overdue", worker=self._charge.worker, job_ids=overdue)
            self._kill_if_stuck(pid, overdue)
        return min(interval, _LOOK_EVERY) if overdue else interval

    def _kill_if_stuck(self, pid: int, overdue: list[str]) -> None:
        """Kill a worker whose loop has been held past its jobs' time: only from outside can a timeout be enforced then.

        SIGTERM would be of no use, since its handler needs the loop. The stack is asked for first.
        """
        held_s = self._pulse.age()
        if held_s is None or held_s < _STUCK_AFTER:
            return
        os.kill(pid, DUMP)
        ends = time.monotonic() + _DUMP_WAIT
        while not self._pulse.stack() and time.monotonic() < ends:
            time.sleep(0.01)
        about = {"worker": self._charge.worker, "job_ids": overdue, "held_s": round(held_s, 1)}
        log.error("worker_stuck", **about, stack=self._pulse.stack())
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(Unavailable):
            self._record_stall(overdue, held_s)

    def _record_stall(self, overdue: list[str], held_s: float) -> None:
        stack = self._pulse.stack()
        suspects = [Suspect(job_id, name, job_id in overdue) for job_id, name in self._guard.running()]
        at = stalls.culprit(stalls.frames(stack), FOREIGN)
        code = linecache.getline(at.file, at.line).strip() if at else ""
        self._guard.record_stall(stalls.stuck(self._charge.worker, held_s, stack, suspects, FOREIGN, code or None))

    def release(self, how: str, **known: Any) -> None:
        """Give the jobs of the dead worker back, trying for a lease while Redis is away; then they are due anyhow.

        `known` says more of its end: `signal` or `exit_code`.
        """
        memory = f", last seen using {self._rss / 1_048_576:.0f} MiB" if self._rss else ""
        age, stack = self._pulse.age(), self._pulse.stack()
        held = f", its event loop held for {age:.1f} s" if age is not None and age > _STUCK_AFTER else ""
        details = {**known, "rss_bytes": self._rss, "last_beat_s": None if age is None else round(age, 2)}
        message = f"worker {self._charge.worker} {how}{memory}{held}"
        reason = ErrorInfo("WorkerLost", message, stack, details)
        ends = time.monotonic() + self._charge.lease_ms / 1000
        while True:
            try:
                given, dead = self._guard.release(self._charge.max_tries, self._charge.kept_ms, reason)
            except Unavailable as error:
                if time.monotonic() > ends:
                    log.warning("release_failed", worker=self._charge.worker, error=str(error))
                    return
                time.sleep(self._away.failed("release", error))
            else:
                self._away.served("release")
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
    pid, told_fd = told.pop("pid"), told.pop("pulse_fd")
    guardian = Guardian(Charge(**told), Pulse(told_fd))
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
