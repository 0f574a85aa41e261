"""One attempt, from claimed to recorded: open → perform → decide → finish. Each step gives a value to the next.

Nothing here speaks to Redis but through the finisher; what a job may use of the worker comes with `Services`.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from types import CoroutineType
from typing import Any, Literal

from arq.utils import ms_to_datetime
from arq.worker import Retry as ArqRetry
from arq.worker import RetryJob

from service.domain.clock import now_ms
from service.domain.errors import Aborted, AttemptTimeout, ErrorInfo
from service.domain.functions import JobFunction
from service.domain.policy import (
    Dead,
    Decision,
    Outcome,
    Raised,
    Returned,
    Stopped,
    decide,
)
from service.loopwatch.clock import Scope, Slot, current, drive
from service.loopwatch.suspects import AtWork
from service.store import leases
from service.store.codec import Codec, Payload
from service.store.leases import Claimed
from service.worker import child
from service.worker.budget import Budget, budget_of, within
from service.worker.context import Facts, JobContext
from service.worker.finish import Finisher, ending
from service.worker.leaks import Owner
from service.worker.opening import Opened, Opener, Rules
from service.worker.outcome import describe, raised, returned, run_blocking
from service.worker.ports import LoopPort, Services, ThreadPort
from service.worker.pulse import mark_of
from service.worker.threads import Call
from service.worker.words import Words

Hook = Callable[[dict[Any, Any]], Awaitable[None]]
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Hooks:
    """arq's hooks around a job, and the dictionary that plain functions and hooks are given."""

    ctx: dict[Any, Any]
    on_job_start: Hook | None = None
    on_job_end: Hook | None = None
    after_job_end: Hook | None = None

    @property
    def any(self) -> bool:
        """Whether any hook is set."""
        return bool(self.on_job_start or self.on_job_end or self.after_job_end)


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

    def stop(self, why: str) -> None:
        """Stop the attempt: a thread is asked when a person aborts it, all else is cancelled."""
        if self.why is not None and why != "lease_lost":
            return
        self.why = why
        if self.port is not None:
            self.port.was_aborted = True
        is_thread = self.function is not None and self.function.runs_in == "thread"
        if self.call is not None:
            self.call.to_end()
        if self.performing and self.task is not None and not (why == "aborted" and is_thread):
            self.task.cancel()


class Attempts:
    """Runs attempts of one worker."""

    def __init__(
        self,
        opener: Opener,
        codec: Codec,
        rules: Rules,
        hooks: Hooks,
        services: Services,
        finisher: Finisher,
        words: Words,
        loop: asyncio.AbstractEventLoop,
        slot: Slot | None,
    ) -> None:
        self._slot = slot
        self._opener = opener
        self._codec = codec
        self._rules = rules
        self._hooks = hooks
        self._services = services
        self._finisher = finisher
        self._loop = loop
        self._words = words

    async def run(self, running: Running) -> Decision:
        """Run one attempt to its recorded end."""
        job = running.job
        opened = self._opener.open(job)
        if isinstance(opened, Opened):
            payload, keep_result = opened.payload, opened.keep_result
            if payload.job_try and payload.job_try > job.attempt:
                job = await self._count_from(job, payload.job_try)
            outcome, ctx = await self._perform(running, job, opened)
            policy = opened.policy if not opened.function.is_plain else replace(opened.policy, max_tries=_NO_LIMIT)
            jitter = random.random()  # noqa: S311 - spreads retries, keeps no secret
            decision = decide(
                outcome, job.attempt, policy, now_ms=now_ms(), jitter=jitter, deadline_ms=opened.deadline_ms
            )
        else:
            payload, decision = opened
            ctx, keep_result = None, self._rules.keep_result
            if isinstance(decision, Dead) and not decision.was_tried:
                job = replace(job, attempt=job.attempt - 1)
        self._words.ended(job, payload, decision)
        used = running.port.used if running.port is not None else None
        fields = (("used", used.written()),) if used is not None else ()
        took = _taken(running.scope)
        written = ending(job, payload, decision, self._codec, self._rules.kept, keep_result, fields, loop=took)
        if written is None:
            return decision
        held = opened.function.held_after if isinstance(opened, Opened) else None
        if (ctx is None or not self._hooks.after_job_end) and held is None:
            self._finisher.submit(written)
            return decision
        await self._finisher.write(written)
        if held is not None and written.is_terminal:
            await leases.hold(self._services.redis, job.id, held)
        if ctx is not None and self._hooks.after_job_end:
            await self._hooks.after_job_end(ctx)
        return decision

    async def _perform(self, running: Running, job: Claimed, opened: Opened) -> tuple[Outcome, dict[Any, Any] | None]:
        function = opened.function
        running.function = function
        ctx = self._arq_context(job, opened.payload) if function.is_plain or self._hooks.any else None
        if ctx is not None and self._hooks.on_job_start:
            await self._hooks.on_job_start(ctx)
        self._words.started(job, opened.payload)
        timer = asyncio.timeout(opened.timeout if function.runs_in == "loop" else None)
        try:
            running.begin()
            async with timer:
                outcome = await self._call(running, job, opened, ctx, timer)
            running.performing = False
        except BaseException as error:  # noqa: BLE001 - whatever a job does to the loop is classified
            running.performing = False
            outcome = self._classify(running, opened, error, is_late=timer.expired())
        outcome = within(running.budget, running.why, outcome, opened.policy)
        if isinstance(outcome, Raised):
            outcome = replace(outcome, error=opened.described(outcome.error))
            if running.why == "aborted" and outcome.error.type == Aborted.__qualname__:
                outcome = Stopped("aborted")
        if ctx is not None and self._hooks.on_job_end:
            await self._hooks.on_job_end(ctx)
        return outcome, ctx

    async def _call(
        self,
        running: Running,
        job: Claimed,
        opened: Opened,
        ctx: dict[Any, Any] | None,
        timer: asyncio.Timeout,
    ) -> Outcome:
        function, payload = opened.function, opened.payload
        if function.is_plain:
            value = await self._steps(running, function, function.fn(ctx, *payload.args, **payload.kwargs))
            return Returned(b"null", value) if self._codec.kind != "json" else returned(function, value, self._limit)
        given = function.arguments.bind(payload.args, payload.kwargs)
        if function.runs_in == "loop":
            arguments = function.arguments.validate(given)
            port = running.port = LoopPort(self._services, job, self._loop, opened.without_secrets)
            context = JobContext(self._facts(job, opened), port, port)
            value = await self._steps(running, function, function.fn(context, **arguments))
            await port.settle()
            return returned(function, value, self._limit)
        thread_port = running.port = ThreadPort(self._services, job, self._loop, opened.without_secrets)
        return await self._call_elsewhere(running, thread_port, job, opened, given, timer)

    def _steps(self, running: Running, function: JobFunction[Any, Any], call: Awaitable[Any]) -> Awaitable[Any]:
        """Count the steps of a job's coroutine, and of the tasks that it starts."""
        if self._slot is None:
            return call
        coro = call if isinstance(call, (CoroutineType, Coroutine)) else _awaiting(call)  # the second is slow to ask
        code = getattr(function.fn, "__code__", None)
        file, line = (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)
        scope = running.scope = Scope("job", running.job.id, function.name, file, line)
        running.budget = budget_of(function, self._rules.loop_budget_ms, scope, self._slot, running.stop)
        scope.mark = mark_of(running.job.id)
        current.set(scope)
        return drive(coro, scope, self._slot)

    async def _call_elsewhere(
        self,
        running: Running,
        port: ThreadPort,
        job: Claimed,
        opened: Opened,
        given: dict[str, Any],
        timer: asyncio.Timeout,
    ) -> Outcome:
        """Run a `def` job; its time is counted from when it has a thread or a process, not while it waits for one."""
        function, facts, executors = opened.function, self._facts(job, opened), self._services.executors
        begin: Callable[[], None] = partial(_begin, timer, opened.timeout, self._loop)
        outcome: Outcome
        if function.runs_in == "thread":
            arguments = function.arguments.validate(given)
            threads = executors.threads(job.queue)
            if threads.is_full:
                begin = await self._wait_for("thread", job, begin)
            call = partial(_in_thread, port, facts, function, arguments)
            run = partial(run_blocking, function, call, opened.policy, self._limit)
            running.call = threads.call(run, begin, Owner(job.id, function.name))
            outcome = await threads.result(running.call, port.used)
        else:
            processes = executors.processes(job.queue)
            if processes.is_full:
                begin = await self._wait_for("process", job, begin)
            task = (child.run_job, *function.import_path, facts, given, self._limit)
            outcome = await processes.run(port, *task, used=port.used, on_start=begin)
        return outcome

    async def _wait_for(
        self, place: Literal["thread", "process"], job: Claimed, begin: Callable[[], None]
    ) -> Callable[[], None]:
        """Let the job wait for a place, and be seen to; return what is to be called as it begins."""
        await leases.keep_waiting(self._services.redis, job, place)

        def begun() -> None:
            begin()
            self._services.notes.begun(job)

        return begun

    def _classify(self, running: Running, opened: Opened, error: BaseException, *, is_late: bool) -> Outcome:
        if isinstance(error, asyncio.CancelledError) and running.why is not None:
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            return Stopped(running.why)  # type: ignore[arg-type]
        if is_late and isinstance(error, TimeoutError):
            if running.port is not None:
                running.port.was_aborted = True
            if opened.function.is_plain:
                return Raised(describe(error), again=False, exception=error)
            late = AttemptTimeout(f"the attempt ran longer than {opened.timeout:g} s")
            return Raised(ErrorInfo(AttemptTimeout.__qualname__, str(late), describe(error).traceback), again=True)
        if opened.function.is_plain:
            return self._classify_plain(error)
        if isinstance(error, asyncio.CancelledError):
            return Raised(describe(error), again=True, exception=error)
        return raised(error, opened.policy)

    def _classify_plain(self, error: BaseException) -> Outcome:
        """Classify as arq does: only its own Retry, RetryJob and a cancellation run again."""
        if self._rules.retry_jobs and isinstance(error, ArqRetry):
            return Raised(describe(error), again=True, after=(error.defer_score or 0) / 1000, exception=error)
        if self._rules.retry_jobs and isinstance(error, RetryJob | asyncio.CancelledError):
            return Raised(describe(error), again=True, after=0, exception=error)
        return Raised(describe(error), again=False, exception=error)

    @property
    def _limit(self) -> int:
        return self._rules.max_result_bytes

    def _facts(self, job: Claimed, opened: Opened) -> Facts:
        return Facts(
            job.id,
            opened.function.name,
            job.queue,
            job.attempt,
            opened.policy.max_tries,
            opened.payload.enqueued_ms,
            None if opened.timeout is None else job.claimed_ms + round(opened.timeout * 1000),
            opened.traceparent,
            opened.timeout,
        )

    def _arq_context(self, job: Claimed, payload: Payload) -> dict[Any, Any]:
        return {
            **self._hooks.ctx,
            "job_id": job.id,
            "job_try": job.attempt,
            "enqueue_time": ms_to_datetime(payload.enqueued_ms),
            "score": job.due_ms,
        }

    async def _count_from(self, job: Claimed, attempt: int) -> Claimed:
        """Count attempts from where a producer said (arq's `_job_try`)."""
        await leases.count_from(self._services.redis, job.id, attempt)
        return replace(job, attempt=attempt)


async def _awaiting(call: Awaitable[Any]) -> Any:
    """Await what is no coroutine, so that it has steps that can be counted."""
    return await call


def _begin(timer: asyncio.Timeout, timeout: float | None, loop: asyncio.AbstractEventLoop) -> None:
    """Start the clock of an attempt that waited for its thread or process."""
    if timeout is not None and timer.when() is None:
        with contextlib.suppress(RuntimeError):  # it has ended meanwhile
            timer.reschedule(loop.time() + timeout)


def _in_thread(port: ThreadPort, facts: Facts, function: JobFunction[Any, Any], arguments: dict[str, Any]) -> Any:
    """Call the job function, unless somebody asked it to stop while it waited for a thread."""
    facts.begin(now_ms())
    context = JobContext(facts, port)
    context.raise_if_aborted()
    with AtWork(facts.id, function.name):
        return function.fn(context, **arguments)


def _taken(scope: Scope | None) -> str:
    """Say what a job took of the event loop as the record keeps it: total, steps, longest step, in µs; over budget."""
    if scope is None:
        return ""
    return f"{scope.loop_ns // 1000} {scope.steps} {scope.max_step_ns // 1000} {scope.over}"
