"""One attempt, from claimed to recorded: resolve → perform → decide → finish. Each step gives a value to the next.

The end is written by the finisher; what a job may use of the worker comes with `Services`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from arq.utils import ms_to_datetime
from arq.worker import Retry as ArqRetry
from arq.worker import RetryJob

from offload.domain.clock import now_ms
from offload.domain.errors import Aborted, AttemptTimeout, ErrorInfo
from offload.domain.policy import (
    Dead,
    Decision,
    Outcome,
    Raised,
    Stopped,
    decide,
)
from offload.store.jobs import leases
from offload.store.jobs.codec import Codec, Payload
from offload.store.jobs.leases import NO_USAGE, Claimed, LoopUsage
from offload.worker.attempt.finish import Finisher, attempt_end_of
from offload.worker.attempt.invoke import Invoker
from offload.worker.attempt.loop_budget import within
from offload.worker.attempt.ports import Services
from offload.worker.attempt.prepare import ResolvedJob, Resolver, Rules
from offload.worker.attempt.running import Running
from offload.worker.job_log import JobLog
from offload.worker.outcome import describe, raised

Hook = Callable[[dict[Any, Any]], Awaitable[None]]
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Hooks:
    """arq's hooks around a job, and the dictionary that plain functions and hooks take."""

    ctx: dict[Any, Any]
    on_job_start: Hook | None = None
    on_job_end: Hook | None = None
    after_job_end: Hook | None = None

    @property
    def any(self) -> bool:
        """True if any hook is set."""
        return bool(self.on_job_start or self.on_job_end or self.after_job_end)


class AttemptRunner:
    """Runs attempts of one worker."""

    def __init__(
        self,
        resolver: Resolver,
        codec: Codec,
        rules: Rules,
        hooks: Hooks,
        services: Services,
        finisher: Finisher,
        job_log: JobLog,
        invoker: Invoker,
    ) -> None:
        self._resolver = resolver
        self._codec = codec
        self._rules = rules
        self._hooks = hooks
        self._services = services
        self._finisher = finisher
        self._invoker = invoker
        self._job_log = job_log

    async def run(self, running: Running) -> Decision:
        """Run one attempt to its recorded end."""
        job = running.job
        resolved = self._resolver.resolve(job)
        if isinstance(resolved, ResolvedJob):
            payload, keep_result = resolved.payload, resolved.keep_result
            if payload.job_try and payload.job_try > job.attempt:
                job = await self._count_from(job, payload.job_try)
            outcome, ctx = await self._perform(running, job, resolved)
            policy = (
                resolved.policy if not resolved.function.is_plain else replace(resolved.policy, max_tries=_NO_LIMIT)
            )
            jitter = random.random()  # noqa: S311 - spreads retries, keeps no secret
            decision = decide(
                outcome, job.attempt, policy, now_ms=now_ms(), jitter=jitter, deadline_ms=resolved.deadline_ms
            )
        else:
            payload, decision = resolved
            ctx, keep_result = None, self._rules.keep_result
            if isinstance(decision, Dead) and not decision.was_tried:
                job = replace(job, attempt=job.attempt - 1)
        self._job_log.attempt_ended(job, payload, decision)
        usage = running.port.usage if running.port is not None else None
        fields = (("usage", usage.as_json().decode()),) if usage is not None else ()
        scope = running.scope
        loop = LoopUsage.of(scope.loop_ns, scope.steps, scope.max_step_ns, scope.over) if scope else NO_USAGE
        written = attempt_end_of(job, payload, decision, self._codec, self._rules.retention, keep_result, fields, loop)
        if written is None:
            return decision
        held = resolved.function.held_after if isinstance(resolved, ResolvedJob) else None
        if (ctx is None or not self._hooks.after_job_end) and held is None:
            self._finisher.submit(written)
            return decision
        await self._finisher.write(written)
        if held is not None and written.is_terminal:
            await leases.hold(self._services.redis, job.id, held)
        if ctx is not None and self._hooks.after_job_end:
            await self._hooks.after_job_end(ctx)
        return decision

    async def _perform(
        self, running: Running, job: Claimed, resolved: ResolvedJob
    ) -> tuple[Outcome, dict[Any, Any] | None]:
        function = resolved.function
        running.function = function
        ctx = self._arq_context(job, resolved.payload) if function.is_plain or self._hooks.any else None
        if ctx is not None and self._hooks.on_job_start:
            await self._hooks.on_job_start(ctx)
        self._job_log.attempt_started(job, resolved.payload)
        try:
            running.begin()
            outcome = await self._invoker.invoke(running, job, resolved, ctx)
            running.end()
        except BaseException as error:  # noqa: BLE001 - whatever a job does to the loop is classified
            running.end()
            outcome = self._classify(running, resolved, error)
        outcome = within(running.budget, running.why, outcome, resolved.policy)
        if isinstance(outcome, Raised):
            outcome = replace(outcome, error=resolved.described(outcome.error))
            if running.why == "aborted" and outcome.error.type == Aborted.__qualname__:
                outcome = Stopped("aborted")
        if ctx is not None and self._hooks.on_job_end:
            await self._hooks.on_job_end(ctx)
        return outcome, ctx

    def _classify(self, running: Running, resolved: ResolvedJob, error: BaseException) -> Outcome:
        if isinstance(error, asyncio.CancelledError) and running.why is not None:
            return Stopped(running.why)  # type: ignore[arg-type]
        if isinstance(error, asyncio.CancelledError) and running.is_late:
            if running.port is not None:
                running.port.was_aborted = True
            return self._too_late(resolved, error)
        if resolved.function.is_plain:
            return self._classify_plain(error)
        if isinstance(error, asyncio.CancelledError):
            return Raised(describe(error), again=True, exception=error)
        return raised(error, resolved.policy)

    def _too_late(self, resolved: ResolvedJob, cancelled: asyncio.CancelledError) -> Outcome:
        """Return the outcome of a timeout: arq's functions end with TimeoutError, ours are tried again."""
        late = TimeoutError()
        late.__cause__ = cancelled
        if resolved.function.is_plain:
            return Raised(describe(late), again=False, exception=late)
        why = f"the attempt ran longer than {resolved.timeout:g} s"
        return Raised(ErrorInfo(AttemptTimeout.__qualname__, why, describe(late).traceback), again=True)

    def _classify_plain(self, error: BaseException) -> Outcome:
        """Classify as arq does: only its own Retry, RetryJob and a cancellation run again."""
        if self._rules.retry_jobs and isinstance(error, ArqRetry):
            return Raised(describe(error), again=True, after=(error.defer_score or 0) / 1000, exception=error)
        if self._rules.retry_jobs and isinstance(error, RetryJob | asyncio.CancelledError):
            return Raised(describe(error), again=True, after=0, exception=error)
        return Raised(describe(error), again=False, exception=error)

    def _arq_context(self, job: Claimed, payload: Payload) -> dict[Any, Any]:
        return {
            **self._hooks.ctx,
            "job_id": job.id,
            "job_try": job.attempt,
            "enqueue_time": ms_to_datetime(payload.enqueued_ms),
            "score": job.due_ms,
        }

    async def _count_from(self, job: Claimed, attempt: int) -> Claimed:
        """Count attempts from the number that a producer gave (arq's `_job_try`)."""
        await leases.count_from(self._services.redis, job.id, attempt)
        return replace(job, attempt=attempt)
