"""An attempt under way: what is known of it, and the only way in which it is stopped from outside."""

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
    """An attempt under way, and how it can be stopped."""

    job: Claimed
    good_until: float = math.inf  # on the loop's clock: one lease after it was asked for
    task: "asyncio.Task[None] | None" = None
    function: JobFunction[Any, Any] | None = None
    port: LoopPort | ThreadPort | None = None
    why: str | None = None
    performing: bool = False
    deadline: Timeout | None = None
    is_late: bool = False
    scope: Scope | None = None
    budget: Budget | None = None
    call: Call | None = None

    def begin(self) -> None:
        """Let `stop` cancel from here on; raise CancelledError if it was called before, or the lease may be over.

        A process that was stopped between its claim and the start would else run what another runs by now; where the
        lease still stands the job is put back.
        """
        if self.why is None and asyncio.get_running_loop().time() >= self.good_until:
            self.why = "interrupted"
        if self.why is not None:
            raise asyncio.CancelledError
        self.performing = True

    def end(self) -> None:
        """Let nothing stop it any more: its function has returned, or raised."""
        self.performing = False
        if self.deadline is not None:
            self.deadline.cancel()
        while self.task is not None and self.task.cancelling():
            self.task.uncancel()

    def time_is_up(self) -> None:
        """Cancel the attempt for its timeout."""
        if self.performing and self.task is not None:
            self.is_late = True
            self.task.cancel()

    def stop(self, why: str) -> None:
        """Stop the attempt: a thread is asked when a person aborts it, all else is cancelled."""
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
