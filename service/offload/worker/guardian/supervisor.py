"""`offload worker`: the parent of the worker process, and its guardian.

It does little and loads little, so that nothing a job does can stop it: it renews leases, passes signals on, and when
the worker dies gives its jobs back at once and starts another. The command replaces its own process by this module's
`main`, which is told all it must know: settings, job modules and what they import are for the worker alone.
"""

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import structlog

from offload import lifeline, logs
from offload.domain import complaints
from offload.domain.errors import Unavailable
from offload.domain.restarts import Restarts
from offload.store.fleet import stalls
from offload.store.guardian import connect
from offload.worker.exit_codes import CANNOT_START, HELD_A_LOOP, RECYCLED
from offload.worker.guardian.guardian import GuardedWorker, Guardian
from offload.worker.guardian.launch import Launch

log = structlog.get_logger(__name__)
_REMEMBERED = 1000  # workers, for what they are to blame for
_LOADING_S = 2.0  # before a worker is killed that holds its loop, the next begins to load


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    """What a supervisor must know; `address` as from `store.guard.portable`, `grace` in seconds."""

    address: Mapping[str, Any]
    lease_ms: int
    max_tries: int
    kept_ms: int
    grace: float
    lifeline_fd: int | None
    log_level: str
    log_format: Any
    burst: bool
    queues: Sequence[str]
    fail_on_stall: bool = False


class Supervisor:
    """Runs one worker process after another until it is told to stop."""

    def __init__(self, told: SupervisorConfig) -> None:
        self._told = told
        self._arguments = [
            *(["--burst"] if told.burst else []),
            *(part for q in told.queues for part in ("--queue", q)),
        ]
        self._child: subprocess.Popen[bytes] | None = None
        self._next: Launch | None = None
        self._stopping = False
        self.workers: deque[str] = deque(maxlen=_REMEMBERED)

    def run(self) -> int:
        """Return the exit code: that of the last worker that was not to be replaced."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        try:
            return self._run()
        finally:
            self._dismiss()

    def _run(self) -> int:
        restarts, has_run = Restarts(), False
        while True:
            began = time.monotonic()
            code, was_stuck = self._run_one()
            # What could start once can again: that Redis is away just now is no reason to leave.
            if (
                self._stopping
                or (self._told.burst and code != RECYCLED)
                or code == 0
                or (code == CANNOT_START and not has_run)
            ):
                return max(code, 0) if self._stopping else code
            has_run = has_run or code != CANNOT_START
            if code == RECYCLED:
                log.warning("worker_recycled")
                continue
            if was_stuck:  # no crash, and not again at once: a job takes its time to come to its limit
                log.error("worker_replaced", how=describe(code))
                continue
            pause = restarts.pause_after(time.monotonic() - began)
            log.error("worker_died", how=describe(code), restarts_in=pause)
            if self._sleep(pause):
                return 0

    def _run_one(self) -> tuple[int, bool]:
        """Run a worker to its end; return its exit code, and whether it was killed because its loop was held."""
        told, (launch, self._next) = self._told, (self._next or self._launch(), None)
        self.workers.append(launch.worker)
        charge = GuardedWorker(launch.worker, told.address, told.lease_ms, told.max_tries, told.kept_ms)
        guardian = Guardian(charge, launch.pulse, first_in=told.lease_ms / 3000)
        child = self._child = launch.child
        with contextlib.closing(launch), contextlib.closing(guardian):
            if self._stopping:
                child.terminate()
            launch.begin()
            self._watch(child, guardian)
            code = child.wait()
            if code not in (0, CANNOT_START, RECYCLED):
                known = {"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": code}
                guardian.release(describe(code), **known)
            return code, guardian.has_killed

    def _launch(self) -> Launch:
        return Launch(self._arguments, self._told.lifeline_fd)

    def _prepare(self, guardian: Guardian) -> float:
        """Have the next worker load when this one is about to be killed; return the seconds until that is so."""
        end_in = guardian.kills_in
        if end_in is None or self._stopping or self._told.burst:
            self._dismiss()
            return math.inf
        if self._next is None and end_in <= _LOADING_S:
            self._next = self._launch()
        return math.inf if self._next is not None else end_in - _LOADING_S

    def _dismiss(self) -> None:
        """Do without the next worker: this one has come back, or none is to follow it."""
        if self._next is not None:
            self._next.dismiss()
            self._next = None

    def _watch(self, child: "subprocess.Popen[bytes]", guardian: Guardian) -> None:
        """Renew until the process has ended; its end is noticed at once where the system can tell (pidfd)."""
        pidfd = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else None
        wait = guardian.look(child.pid)
        try:
            while child.poll() is None:
                if pidfd is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(wait)
                else:
                    select.select([pidfd], [], [], wait)
                if child.poll() is None:
                    wait = min(guardian.look(child.pid), self._prepare(guardian))
                    if self._stopping and not guardian.has_turned:  # a signal is lost while the loop is being made
                        child.terminate()
        finally:
            if pidfd is not None:
                os.close(pidfd)

    def _pass_on(self, _number: int, _frame: FrameType | None) -> None:
        number = signal.SIGUSR1 if self._stopping else signal.SIGTERM  # asked twice: stop now
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def _sleep(self, seconds: float) -> bool:
        """Wait; return True as soon as this process is told to stop."""
        ends = time.monotonic() + seconds
        while not self._stopping and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return self._stopping


def describe(code: int) -> str:
    """Say how a process ended."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def become(told: SupervisorConfig, environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by a supervisor; its worker processes get the environment."""
    ours, theirs = os.pipe()
    os.write(theirs, json.dumps(asdict(told)).encode())  # not on the command line: the address may hold a password
    os.close(theirs)
    os.set_inheritable(ours, True)  # noqa: FBT003 - takes no keyword
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", __name__, str(ours)], dict(environment))  # noqa: S606


def main() -> int:
    """Run `offload worker`; return its exit code: 0, 3 when the worker cannot start, 1 where it fails on stalls."""
    with open(int(sys.argv[1]), encoding="utf-8") as pipe:  # noqa: PTH123 - a descriptor
        told = SupervisorConfig(**json.load(pipe))
    logs.configure(told.log_level, told.log_format)
    if told.lifeline_fd is not None:
        lifeline.watch(told.lifeline_fd, told.grace + 5)
    try:
        supervisor = Supervisor(told)
        code = supervisor.run()
        return code or (blame(told.address, supervisor.workers) if told.fail_on_stall else 0)
    except Unavailable as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT_START


def blame(address: Mapping[str, Any], workers: Collection[str]) -> int:
    """Say on stderr what steps and callbacks of these workers held a loop; return 1 then, else 0. Raises Unavailable.

    Redis is asked, and not the workers: one that held its loop for good was killed, and its guardian recorded it.
    """
    with contextlib.closing(connect(address)) as redis:
        found = stalls.blamed(redis, workers)
    if found:
        sys.stderr.write(f"error: {complaints.complaint(found, str(Path.cwd()))}\n")
    return HELD_A_LOOP if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
