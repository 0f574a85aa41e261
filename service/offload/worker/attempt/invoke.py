"""Calls a job function where it runs: on the event loop, in a thread, in a process."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Literal

from offload.domain.clock import now_ms
from offload.domain.functions import JobFunction
from offload.domain.policy import Outcome, Returned
from offload.loopwatch.step_clock import Scope, Slot, current, drive
from offload.loopwatch.suspects import AtWork
from offload.store.jobs import leases
from offload.store.jobs.codec import Codec
from offload.store.jobs.leases import Claimed
from offload.worker.attempt.loop_budget import budget_of
from offload.worker.attempt.ports import LoopPort, Services, ThreadPort
from offload.worker.attempt.prepare import ResolvedJob, Rules
from offload.worker.attempt.running import Running
from offload.worker.attempt.timeouts import Timeouts
from offload.worker.context import AttemptInfo, JobContext
from offload.worker.executors.messages import JobWork
from offload.worker.executors.threads import Owner
from offload.worker.guardian.shared_page import mark_of
from offload.worker.outcome import returned, run_blocking


class Invoker:
    """Calls for one worker; `slot` is None if its loop is not watched."""

    def __init__(
        self, codec: Codec, rules: Rules, services: Services, loop: asyncio.AbstractEventLoop, slot: Slot | None
    ) -> None:
        self._codec = codec
        self._rules = rules
        self._services = services
        self._loop = loop
        self._slot = slot
        self._timeouts = Timeouts(loop)

    async def invoke(
        self, running: Running, job: Claimed, resolved: ResolvedJob, ctx: dict[Any, Any] | None
    ) -> Outcome:
        """Call the function of a job and return the outcome.

        Raises what the function raises on the event loop, and CancelledError at its timeout.
        """
        function, payload = resolved.function, resolved.payload
        if function.runs_in == "loop":
            self._limit_time(running, resolved)
        if function.is_plain:
            return await self._steps(running, function, self._plain(resolved, ctx))
        arguments = function.arguments.bind(payload.args, payload.kwargs)
        if function.runs_in == "loop":
            port = running.port = LoopPort(self._services, job, self._loop, resolved.without_secrets)
            return await self._steps(running, function, self._on_loop(port, job, resolved, arguments))
        thread_port = running.port = ThreadPort(self._services, job, self._loop, resolved.without_secrets)
        if function.runs_in == "thread":
            return await self._in_thread(running, thread_port, job, resolved, arguments)
        return await self._in_process(running, thread_port, job, resolved, arguments)

    async def _plain(self, resolved: ResolvedJob, ctx: dict[Any, Any] | None) -> Outcome:
        function, payload = resolved.function, resolved.payload
        value = await function.fn(ctx, *payload.args, **payload.kwargs)
        return Returned(b"null", value) if self._codec.kind != "json" else returned(function, value, self._limit)

    async def _on_loop(self, port: LoopPort, job: Claimed, resolved: ResolvedJob, arguments: dict[str, Any]) -> Outcome:
        function = resolved.function
        arguments = function.arguments.validate(arguments)
        value = await function.fn(JobContext(_attempt_info_of(job, resolved), port, port), **arguments)
        await port.settle()
        return returned(function, value, self._limit)

    def _steps(
        self, running: Running, function: JobFunction[Any, Any], work: Coroutine[Any, Any, Outcome]
    ) -> Awaitable[Outcome]:
        """Count the steps of a job and of the tasks it starts, with the validation of its arguments and result."""
        if self._slot is None:
            return work
        code = getattr(function.fn, "__code__", None)
        file, line = (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)
        scope = running.scope = Scope("job", running.job.id, function.name, file, line)
        running.budget = budget_of(function, self._rules.loop_budget_ms, scope, self._slot, running.stop)
        scope.mark = mark_of(running.job.id)
        current.set(scope)
        return drive(work, scope, self._slot)

    async def _in_thread(
        self, running: Running, port: ThreadPort, job: Claimed, resolved: ResolvedJob, arguments: dict[str, Any]
    ) -> Outcome:
        function, threads = resolved.function, self._services.executors.threads(job.queue)
        begin = await self._begin("thread", running, job, resolved, is_full=threads.is_full)
        call = partial(_work, port, _attempt_info_of(job, resolved), function, arguments)
        run = partial(run_blocking, function, call, resolved.policy, self._limit)
        running.call = threads.start_call(run, begin, Owner(job.id, function.name))
        outcome: Outcome = await threads.result_of(running.call, port.usage)
        return outcome

    async def _in_process(
        self, running: Running, port: ThreadPort, job: Claimed, resolved: ResolvedJob, arguments: dict[str, Any]
    ) -> Outcome:
        processes = self._services.executors.processes(job.queue)
        begin = await self._begin("process", running, job, resolved, is_full=processes.is_full)
        work = JobWork(*resolved.function.import_path, _attempt_info_of(job, resolved), arguments, self._limit)
        outcome: Outcome = await processes.run_work(work, port.serve, usage=port.usage, on_start=begin)
        return outcome

    async def _begin(
        self,
        place: Literal["thread", "process"],
        running: Running,
        job: Claimed,
        resolved: ResolvedJob,
        *,
        is_full: bool,
    ) -> Callable[[], None]:
        """Return the callback for when the job begins: its timeout is counted from then, not while it waits.

        A job that has to wait for a place is marked as waiting.
        """
        begin = partial(self._limit_time, running, resolved)
        if not is_full:
            return begin
        await leases.keep_waiting(self._services.redis, job, place)

        def begun() -> None:
            begin()
            self._services.notes.begun(job)

        return begun

    def _limit_time(self, running: Running, resolved: ResolvedJob) -> None:
        """Start the timeout of a job."""
        if resolved.timeout is not None and running.performing:
            running.timeout = self._timeouts.start(resolved.timeout, running.time_is_up)

    @property
    def _limit(self) -> int:
        return self._rules.max_result_bytes


def _attempt_info_of(job: Claimed, resolved: ResolvedJob) -> AttemptInfo:
    return AttemptInfo(
        job.id,
        resolved.function.name,
        job.queue,
        job.attempt,
        resolved.policy.max_tries,
        resolved.payload.enqueued_ms,
        None if resolved.timeout is None else job.claimed_ms + round(resolved.timeout * 1000),
        resolved.traceparent,
        resolved.timeout,
    )


def _work(
    port: ThreadPort, attempt_info: AttemptInfo, function: JobFunction[Any, Any], arguments: dict[str, Any]
) -> Any:
    """Call the job function in its thread; raises Aborted if the job was aborted while it waited for one."""
    attempt_info.begin(now_ms())
    context = JobContext(attempt_info, port)
    context.raise_if_aborted()
    with AtWork(attempt_info.id, function.name):
        return function.fn(context, **function.arguments.validate(arguments))
