"""An attempt under way, and how it is stopped from outside."""

import asyncio
import math
from dataclasses import dataclass
from typing import Any

from offload.domain.functions import JobFunction
from offload.loopwatch.step_clock import Scope
from offload.store.jobs.leases import Claimed
from offload.worker.attempt.loop_budget import Budget
from offload.worker.attempt.ports import LoopPort, ThreadPort
from offload.worker.attempt.timeouts import Timeout
from offload.worker.executors.threads import Call


@dataclass(slots=True)
class Running:
    """An attempt under way; `why` is the reason for which it was stopped."""

    job: Claimed
    good_until: float = math.inf  # on the loop's clock: one lease after it was asked for
    task: "asyncio.Task[None] | None" = None
    function: JobFunction[Any, Any] | None = None
    port: LoopPort | ThreadPort | None = None
    why: str | None = None
    performing: bool = False
    timeout: Timeout | None = None
    is_late: bool = False
    scope: Scope | None = None
    budget: Budget | None = None
    call: Call | None = None

    def begin(self) -> None:
        """Let `stop` cancel from here on; raise CancelledError if it was called before, or the lease may be over.

        Without this a process that was suspended between claim and start would run a job that another runs by now.
        If the lease is still held the job is requeued.
        """
        if self.why is None and asyncio.get_running_loop().time() >= self.good_until:
            self.why = "interrupted"
        if self.why is not None:
            raise asyncio.CancelledError
        self.performing = True

    def end(self) -> None:
        """Ignore `stop` and the timeout from here on: the function has returned, or raised."""
        self.performing = False
        if self.timeout is not None:
            self.timeout.cancel()
        while self.task is not None and self.task.cancelling():
            self.task.uncancel()

    def time_is_up(self) -> None:
        """Cancel the attempt at its timeout."""
        if self.performing and self.task is not None:
            self.is_late = True
            self.task.cancel()

    def stop(self, why: str) -> None:
        """Stop the attempt: a job in a thread that is aborted only sees `ctx.aborted`, all else is cancelled."""
        if self.why is not None and why != "lease_lost":
            return
        self.why = why
        if self.port is not None:
            self.port.was_aborted = True
        is_thread = self.function is not None and self.function.runs_in == "thread"
        if self.call is not None:
            self.call.expect_end()
        if self.performing and self.task is not None and not (why == "aborted" and is_thread):
            self.task.cancel()
