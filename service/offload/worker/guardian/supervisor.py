"""`offload worker`: the parent of the worker process, and its guardian.

It does little and loads little, so that nothing a job does can stop it: it renews leases, passes signals on, and when
the worker dies releases its jobs at once and starts another. The command replaces its own process by this module's
`main`, with a `SupervisorConfig`: settings, job modules and what they import are for the worker alone.
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
from offload.domain.errors import Unavailable
from offload.domain.restarts import Restarts
from offload.domain.stalls import complaint
from offload.store.connection.blocking import connect
from offload.store.fleet import stalls
from offload.worker.exit_codes import CANNOT_START, HELD_A_LOOP, RECYCLED
from offload.worker.guardian.guardian import GuardedWorker, Guardian
from offload.worker.guardian.launch import Launch

log = structlog.get_logger(__name__)
_REMEMBERED = 1000  # workers, for `fail_on_stall`
_LOADING_S = 2.0  # before a worker is killed that holds its loop, the next begins to load


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    """Configuration of a supervisor; `address` as from `store.connection.blocking.portable`, `grace` in seconds."""

    address: Mapping[str, Any]
    lease_ms: int
    max_tries: int
    dead_ttl_ms: int
    grace: float
    lifeline_fd: int | None
    log_level: str
    log_format: Any
    burst: bool
    queues: Sequence[str]
    fail_on_stall: bool = False


class Supervisor:
    """Runs one worker process after another until a signal stops it."""

    def __init__(self, config: SupervisorConfig) -> None:
        self._config = config
        self._arguments = [
            *(["--burst"] if config.burst else []),
            *(part for queue in config.queues for part in ("--queue", queue)),
        ]
        self._child: subprocess.Popen[bytes] | None = None
        self._next: Launch | None = None
        self._stopping = False
        self.workers: deque[str] = deque(maxlen=_REMEMBERED)

    def run(self) -> int:
        """Return the exit code: that of the last worker that was not to be replaced."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_signal_on)
        try:
            return self._run()
        finally:
            self._dismiss_next()

    def _run(self) -> int:
        restarts, has_run = Restarts(), False
        while True:
            began = time.monotonic()
            code, was_stuck = self._run_one()
            # What could start once can start again: that Redis is unavailable now is no reason to end.
            if (
                self._stopping
                or (self._config.burst and code != RECYCLED)
                or code == 0
                or (code == CANNOT_START and not has_run)
            ):
                return max(code, 0) if self._stopping else code
            has_run = has_run or code != CANNOT_START
            if code == RECYCLED:
                log.warning("worker_recycled")
                continue
            if was_stuck:  # no crash, and not again at once: a job takes its time to come to its limit
                log.error("worker_replaced", how=describe_end(code))
                continue
            pause = restarts.pause_after(time.monotonic() - began)
            log.error("worker_died", how=describe_end(code), restarts_in=pause)
            if self._sleep(pause):
                return 0

    def _run_one(self) -> tuple[int, bool]:
        """Run a worker to its end; return its exit code, and whether it was killed because its loop was held."""
        config, (launch, self._next) = self._config, (self._next or self._launch(), None)
        self.workers.append(launch.worker)
        guarded = GuardedWorker(launch.worker, config.address, config.lease_ms, config.max_tries, config.dead_ttl_ms)
        guardian = Guardian(guarded, launch.page, first_in=config.lease_ms / 3000)
        child = self._child = launch.child
        with contextlib.closing(launch), contextlib.closing(guardian):
            if self._stopping:
                child.terminate()
            launch.begin()
            self._watch(child, guardian)
            code = child.wait()
            if code not in (0, CANNOT_START, RECYCLED):
                details = {"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": code}
                guardian.release_jobs(describe_end(code), **details)
            return code, guardian.has_killed

    def _launch(self) -> Launch:
        return Launch(self._arguments, self._config.lifeline_fd)

    def _prepare_next(self, guardian: Guardian) -> float:
        """Start loading the next worker when this one is about to be killed; return the seconds until that is so."""
        end_in = guardian.kills_in
        if end_in is None or self._stopping or self._config.burst:
            self._dismiss_next()
            return math.inf
        if self._next is None and end_in <= _LOADING_S:
            self._next = self._launch()
        return math.inf if self._next is not None else end_in - _LOADING_S

    def _dismiss_next(self) -> None:
        """End the next worker before it begins: this one has come back, or none is to follow it."""
        if self._next is not None:
            self._next.dismiss()
            self._next = None

    def _watch(self, child: "subprocess.Popen[bytes]", guardian: Guardian) -> None:
        """Renew until the process has ended; its end is noticed at once where the system can tell (pidfd)."""
        pidfd = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else None
        wait = guardian.check_worker(child.pid)
        try:
            while child.poll() is None:
                if pidfd is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(wait)
                else:
                    select.select([pidfd], [], [], wait)
                if child.poll() is None:
                    wait = min(guardian.check_worker(child.pid), self._prepare_next(guardian))
                    if self._stopping and not guardian.has_turned:  # a signal is lost while the loop is being made
                        child.terminate()
        finally:
            if pidfd is not None:
                os.close(pidfd)

    def _pass_signal_on(self, _number: int, _frame: FrameType | None) -> None:
        number = signal.SIGUSR1 if self._stopping else signal.SIGTERM  # asked twice: stop now
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def _sleep(self, seconds: float) -> bool:
        """Wait; return True as soon as this process is to stop."""
        ends = time.monotonic() + seconds
        while not self._stopping and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return self._stopping


def describe_end(code: int) -> str:
    """Return in words how a process ended."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def become(config: SupervisorConfig, environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by a supervisor; its worker processes get the environment."""
    read_end, write_end = os.pipe()
    os.write(write_end, json.dumps(asdict(config)).encode())  # not on the command line: the address may hold a password
    os.close(write_end)
    os.set_inheritable(read_end, True)  # noqa: FBT003 - takes no keyword
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", __name__, str(read_end)], dict(environment))  # noqa: S606


def main() -> int:
    """Run `offload worker`; return its exit code: 0, 3 when the worker cannot start, 1 if it fails on stalls."""
    with open(int(sys.argv[1]), encoding="utf-8") as pipe:  # noqa: PTH123 - a descriptor
        config = SupervisorConfig(**json.load(pipe))
    logs.configure(config.log_level, config.log_format)
    if config.lifeline_fd is not None:
        lifeline.watch(config.lifeline_fd, config.grace + 5)
    try:
        supervisor = Supervisor(config)
        code = supervisor.run()
        return code or (report_stalls(config.address, supervisor.workers) if config.fail_on_stall else 0)
    except Unavailable as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT_START


def report_stalls(address: Mapping[str, Any], workers: Collection[str]) -> int:
    """Print the steps and callbacks of these workers that held a loop; return 1 then, else 0. Raises Unavailable.

    Redis is asked, and not the workers: one that held its loop for good was killed, and its guardian recorded it.
    """
    with contextlib.closing(connect(address)) as redis:
        held = stalls.blaming(redis, workers)
    if held:
        sys.stderr.write(f"error: {complaint(held, str(Path.cwd()))}\n")
    return HELD_A_LOOP if held else 0


if __name__ == "__main__":
    raise SystemExit(main())
