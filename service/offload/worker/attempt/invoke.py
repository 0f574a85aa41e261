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
    """Calls for one worker; `slot` is None where its loop is not watched."""

    def __init__(
        self, codec: Codec, rules: Rules, services: Services, loop: asyncio.AbstractEventLoop, slot: Slot | None
    ) -> None:
        self._codec = codec
        self._rules = rules
        self._services = services
        self._loop = loop
        self._slot = slot
        self._deadlines = Timeouts(loop)

    async def call(self, running: Running, job: Claimed, opened: ResolvedJob, ctx: dict[Any, Any] | None) -> Outcome:
        """Return how the call ended; raise what it raised on the loop, CancelledError where its time was up."""
        function, payload = opened.function, opened.payload
        if function.runs_in == "loop":
            self._limit_time(running, opened)
        if function.is_plain:
            return await self._steps(running, function, self._plain(opened, ctx))
        given = function.arguments.bind(payload.args, payload.kwargs)
        if function.runs_in == "loop":
            port = running.port = LoopPort(self._services, job, self._loop, opened.without_secrets)
            return await self._steps(running, function, self._on_loop(port, job, opened, given))
        thread_port = running.port = ThreadPort(self._services, job, self._loop, opened.without_secrets)
        if function.runs_in == "thread":
            return await self._in_thread(running, thread_port, job, opened, given)
        return await self._in_process(running, thread_port, job, opened, given)

    async def _plain(self, opened: ResolvedJob, ctx: dict[Any, Any] | None) -> Outcome:
        function, payload = opened.function, opened.payload
        value = await function.fn(ctx, *payload.args, **payload.kwargs)
        return Returned(b"null", value) if self._codec.kind != "json" else returned(function, value, self._limit)

    async def _on_loop(self, port: LoopPort, job: Claimed, opened: ResolvedJob, given: dict[str, Any]) -> Outcome:
        function = opened.function
        arguments = function.arguments.validate(given)
        value = await function.fn(JobContext(_facts(job, opened), port, port), **arguments)
        await port.settle()
        return returned(function, value, self._limit)

    def _steps(
        self, running: Running, function: JobFunction[Any, Any], work: Coroutine[Any, Any, Outcome]
    ) -> Awaitable[Outcome]:
        """Count the steps of a job, with what its arguments and result take, and of the tasks that it starts."""
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
        self, running: Running, port: ThreadPort, job: Claimed, opened: ResolvedJob, given: dict[str, Any]
    ) -> Outcome:
        function, threads = opened.function, self._services.executors.threads(job.queue)
        begin = await self._begin("thread", running, job, opened, is_full=threads.is_full)
        call = partial(_work, port, _facts(job, opened), function, given)
        run = partial(run_blocking, function, call, opened.policy, self._limit)
        running.call = threads.start_call(run, begin, Owner(job.id, function.name))
        outcome: Outcome = await threads.result_of(running.call, port.used)
        return outcome

    async def _in_process(
        self, running: Running, port: ThreadPort, job: Claimed, opened: ResolvedJob, given: dict[str, Any]
    ) -> Outcome:
        processes = self._services.executors.processes(job.queue)
        begin = await self._begin("process", running, job, opened, is_full=processes.is_full)
        work = JobWork(*opened.function.import_path, _facts(job, opened), given, self._limit)
        outcome: Outcome = await processes.run_work(work, port.serve, used=port.used, on_start=begin)
        return outcome

    async def _begin(
        self,
        place: Literal["thread", "process"],
        running: Running,
        job: Claimed,
        opened: ResolvedJob,
        *,
        is_full: bool,
    ) -> Callable[[], None]:
        """Return what is to be called as the job begins: its time is counted from there, not while it waits.

        One that has to wait for a place is seen to.
        """
        begin = partial(self._limit_time, running, opened)
        if not is_full:
            return begin
        await leases.keep_waiting(self._services.redis, job, place)

        def begun() -> None:
            begin()
            self._services.notes.begun(job)

        return begun

    def _limit_time(self, running: Running, opened: ResolvedJob) -> None:
        """Let its timeout begin."""
        if opened.timeout is not None and running.performing:
            running.deadline = self._deadlines.start(opened.timeout, running.time_is_up)

    @property
    def _limit(self) -> int:
        return self._rules.max_result_bytes


def _facts(job: Claimed, opened: ResolvedJob) -> AttemptInfo:
    return AttemptInfo(
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


def _work(port: ThreadPort, facts: AttemptInfo, function: JobFunction[Any, Any], given: dict[str, Any]) -> Any:
    """Call the job function, in its thread, unless somebody asked it to stop while it waited for one."""
    facts.begin(now_ms())
    context = JobContext(facts, port)
    context.raise_if_aborted()
    with AtWork(facts.id, function.name):
        return function.fn(context, **function.arguments.validate(given))
