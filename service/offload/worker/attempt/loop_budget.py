"""The loop budget of one attempt: a log line, and maybe a failure, when one step held the event loop for longer.

The step clock reports a step when it ends, so nothing here can cut one short.
"""

import asyncio
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import structlog

from offload.domain.errors import GiveUp, LoopBudgetExceeded, Retry
from offload.domain.functions import JobFunction
from offload.domain.policy import Outcome, Raised, RetryPolicy
from offload.loopwatch.describe import position, user_place
from offload.loopwatch.step_clock import Scope, Slot, SlowStep
from offload.worker.outcome import raised

log = structlog.get_logger(__name__)


class Budget:
    """Counts for one scope; `exceeded` is the reason for which the attempt ends, once it has one."""

    def __init__(self, ms: float, scope: Scope, slot: Slot, *, fails: bool, stop: Callable[[str], None]) -> None:
        self._ms = ms
        self._slot = slot
        self._fails = fails
        self._stop = stop
        self._logged_ns = 0
        self.exceeded: LoopBudgetExceeded | None = None
        scope.budget_ns = round(ms * 1e6)
        scope.on_over = self._over

    def _over(self, slow: SlowStep) -> None:
        """Log it, the first time and whenever it is twice as long; have the attempt stopped at its next await.

        The attempt is not cancelled here: that would reach past a coroutine that ends with this step.
        """
        at_line, short = self._line(slow)
        if slow.held_ns >= 2 * self._logged_ns:
            self._logged_ns = slow.held_ns
            fields = {"job_id": slow.scope.id, "function": slow.scope.name, "budget_ms": self._ms, "at_line": at_line}
            log.warning("loop_over_budget", held_ms=round(slow.held_ns / 1e6, 1), **fields)
        if self._fails and self.exceeded is None:
            held = f"{slow.held_ns / 1e6:.0f} ms"
            self.exceeded = LoopBudgetExceeded(
                f"one step held the event loop {held}, its budget is {self._ms:g} ms ({short})"
            )
            asyncio.get_running_loop().call_soon(self._stop, "over_budget")

    def _line(self, slow: SlowStep) -> tuple[str, str]:
        """Return the position, in full and short: the line where a sample was taken, else where the function begins."""
        file, line = slow.scope.path, slow.scope.line
        sample = self._slot.sample_of(slow.step)
        if sample is not None and (place := user_place(sample)) is not None:
            file, line = place[0].co_filename, position(*place)[0]
        return f"{file}:{line}", f"{'/'.join(PurePath(file).parts[-2:])}:{line}"


def budget_of(
    function: JobFunction[Any, Any],
    default_ms: float | None,
    scope: Scope,
    slot: Slot,
    stop: Callable[[str], None],
) -> Budget | None:
    """Return the budget of an attempt, its function's or the worker's; None if it has none."""
    ms = function.loop_budget_ms or default_ms
    return Budget(ms, scope, slot, fails=function.over_budget == "fail", stop=stop) if ms else None


def within(budget: Budget | None, why: str | None, outcome: Outcome, policy: RetryPolicy) -> Outcome:
    """Return the outcome of an attempt with regard to its budget; `why` it was stopped, None if it was not yet.

    An attempt over its budget has failed, even if it handled its cancellation. An error of its own takes precedence if
    it was raised in the same step, and so does a Retry or GiveUp.
    """
    if budget is None or budget.exceeded is None or why not in (None, "over_budget"):
        return outcome
    if isinstance(outcome, Raised) and (why is None or isinstance(outcome.exception, GiveUp | Retry)):
        return outcome
    return raised(budget.exceeded, policy)
