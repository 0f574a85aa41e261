"""`Worker`: arq's worker, with its constructor, signals, hooks, counts and cron, on Offload's engine.

What arq does in `main`, `start_jobs` and `run_job` is not used: `engine` claims and runs.
"""

import asyncio
import contextlib
import inspect
import signal
from collections.abc import Sequence
from functools import partial
from signal import Signals
from typing import Any, cast

import structlog
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker as ArqWorker
from arq.worker import func

from offload.domain.catalogue import as_job_function, of_functions
from offload.domain.errors import Unavailable
from offload.domain.functions import JobFunction
from offload.domain.policy import Abort, Dead, Decision, Drop, Succeed
from offload.loopwatch.reporter import Reporter
from offload.loopwatch.watch import WatchedLoop
from offload.store import keys
from offload.store.connection import connection
from offload.store.connection.blocking import connect as connect_blocking
from offload.store.connection.blocking import portable
from offload.store.fleet import workers
from offload.store.fleet.stalls import StallWriter
from offload.store.jobs.codec import Codec
from offload.worker.attempt.prepare import Rules
from offload.worker.attempt.run import Hooks
from offload.worker.engine import Engine, WorkerCalls
from offload.worker.job_log import ArqJobLog, JobLog, Phase, StructuredJobLog
from offload.worker.maintenance import describe_loop
from offload.worker.options import WorkerOptions
from offload.worker.side_tasks import SideTasks

log = structlog.get_logger(__name__)


class Worker(ArqWorker):
    """Takes arq's arguments, and `offload` for the options that arq does not have."""

    def __init__(
        self, functions: Sequence[Any] = (), *, offload: WorkerOptions | None = None, **arq_arguments: Any
    ) -> None:
        self.offload = offload or WorkerOptions()
        defined = [function if isinstance(function, JobFunction) else func(function) for function in functions]
        by_name = of_functions(defined)
        super().__init__([_for_arq(function) for function in defined], **arq_arguments)
        by_name.update({name: as_job_function(cron) for name, cron in self.functions.items() if name not in by_name})
        self.job_functions: dict[str, JobFunction[Any, Any]] = by_name
        speaks_arq = all(function.is_plain for function in by_name.values())
        self.job_log: JobLog = ArqJobLog(log_results=self.log_results) if speaks_arq else StructuredJobLog()
        self.is_recycled = False
        self._side_tasks = SideTasks(self.loop, self._stop_main)
        self._is_stopping = self._stops_now = False
        self._has_waited = False
        self._engine: Engine | None = None
        self._watched: WatchedLoop | None = None
        if self.offload.queues is None:
            self.queue_names = [keys.queue_of(self.queue_name)]
        else:
            self.queue_names = list(self.offload.queues)

    @property
    def worker_id(self) -> str:
        """The name by which Redis knows this worker."""
        return self.offload.worker_id

    async def main(self) -> None:
        """Run until cancelled or, in burst mode, until the queues are empty."""
        self.allow_pick_jobs, self._is_stopping, self._stops_now = True, False, False
        if self._pool is None:
            self._pool = await self._connect()
        self.ctx["redis"] = self.pool
        watched = self._watched = self._watch_loop()
        await watched.start()  # before `on_startup`, so that what it does to the loop is seen
        if self.on_startup:
            await self.on_startup(self.ctx)
        engine = self._engine = self._make_engine(watched)
        if self._stops_now:  # besides the cancellation, which redis-py can swallow
            engine.stop()
        await engine.start()
        self.job_log.worker_started(self.worker_id, self.queue_names, list(self.job_functions))
        try:
            await engine.claim_until_stopped()
        except asyncio.CancelledError:
            if failure := self._side_tasks.failure:
                raise failure from None
            raise

    async def close(self) -> None:
        """Requeue or finish the running jobs, write every ending, remove the worker from Redis, disconnect."""
        if not self._handle_signals and not self._is_stopping:
            self.handle_sig(signal.SIGUSR1)
        if not self._pool:
            return
        if self._engine is not None:
            engine, self._engine = self._engine, None
            await engine.close()
        if self._watched is not None:
            await self._watched.stop()
        with contextlib.suppress(Unavailable):
            await workers.leave(self.pool, self.worker_id, self.queue_names)
            with connection.reaching_redis():
                await self.pool.delete(self.health_check_key)
        if self.on_shutdown:
            await self.on_shutdown(self.ctx)
        await self.pool.aclose(close_connection_pool=True)
        self._pool = None

    # Stopping.

    def handle_sig(self, signum: Signals) -> None:
        """Stop now: every running attempt is interrupted, and its job requeued."""
        sig = Signals(signum)
        self.allow_pick_jobs, self._is_stopping, self._stops_now = False, True, True
        self._log_stopping(sig, "waited" if self._has_waited else "now")
        if self._engine is not None:
            self._engine.stop()
        else:  # tasks of arq's own, by `start_jobs`
            for task in self.tasks.values():
                if not task.done():
                    task.cancel()
        self._stop_main()
        if self.on_stop is not None:
            self.on_stop(sig)

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Claim no more and wait for the running jobs, up to `job_completion_wait`; a second signal stops at once."""
        if self._is_stopping:
            self.handle_sig(signum)
            return
        self.allow_pick_jobs, self._is_stopping = False, True
        self._log_stopping(Signals(signum), "waiting")
        self._side_tasks.start(self._stop_when_done(signum))

    def stop_in_time(self) -> None:
        """Claim no more and wait for the running jobs; a second request changes nothing."""
        if not self._is_stopping:
            self.handle_sig_wait_for_completion(signal.SIGTERM)

    def leave_signals_to_supervisor(self) -> None:
        """Handle only the signals that the supervisor passes on: the first as SIGTERM, any further as SIGUSR1.

        Ctrl-C at a terminal, systemd and the lifeline reach the worker as well; that does not count as a second
        request.
        """
        self.loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.loop.add_signal_handler(signal.SIGTERM, self.stop_in_time)
        self.loop.add_signal_handler(signal.SIGUSR1, self.handle_sig, signal.SIGUSR1)

    def _take_signals_back(self) -> None:
        """Handle every signal, since the supervisor is gone: the first stops the worker in time, the second at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, partial(self.handle_sig_wait_for_completion, number))

    def _recycle(self, leaked: int) -> None:
        """Stop in order, for too many threads are lost to calls that do not return; a fresh process has all."""
        if not self._is_stopping:
            self.is_recycled = True
            log.warning("worker_recycling", worker=self.worker_id, leaked=leaked)
            self.stop_in_time()

    async def _stop_when_done(self, signum: Signals) -> None:
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=self._job_completion_wait)
        self._has_waited = True
        self.handle_sig(signum)

    def _log_stopping(self, sig: Signals, phase: Phase) -> None:
        counts = {"complete": self.jobs_complete, "failed": self.jobs_failed, "retried": self.jobs_retried}
        self.job_log.worker_stopping(sig.name, {**counts, "running": len(self.tasks)}, phase)

    def _stop_main(self) -> None:
        if self.main_task is not None:
            self.main_task.cancel()

    # The engine, and its calls into this worker.

    def _make_engine(self, watched: WatchedLoop) -> Engine:
        options = self.offload
        self.job_tasks = self.tasks  # arq has two tasks for a job, the engine one
        rules = Rules(
            max_tries=self.max_tries,
            timeout=self.job_timeout_s,
            keep_result=-1 if self.keep_result_forever else self.keep_result_s,
            retention=options.retention(self.keep_result_s),
            max_result_bytes=options.max_result_bytes,
            unknown_function_grace=options.unknown_function_grace,
            retry_jobs=self.retry_jobs,
            allow_abort_jobs=self.allow_abort_jobs,
            loop_budget_ms=options.loop_budget_ms,
        )
        return Engine(
            options,
            rules,
            Hooks(self.ctx, self.on_job_start, self.on_job_end, self.after_job_end),
            self.job_functions,
            self.queue_names,
            redis=self.pool,
            address=self._address(),
            codec=Codec.custom(self.job_serializer, self.job_deserializer),
            job_log=self.job_log,
            watched=watched,
            side_tasks=self._side_tasks,
            tasks=self.tasks,
            max_jobs=self.max_jobs,
            poll_seconds=self.poll_delay_s,
            burst=self.burst,
            calls=WorkerCalls(
                may_claim=lambda: self.allow_pick_jobs,
                burst_jobs_left=self._burst_jobs_left,
                heart_beat=self._arq_heart_beat,
                count_end=self._count_end,
                describe=self._describe,
                recycle=self._recycle,
                orphaned=self._take_signals_back,
            ),
        )

    async def _connect(self) -> ArqRedis:
        """Return a connection by the worker's settings, tried as often as they say; raises Unavailable."""
        settings = cast("Any", self.redis_settings)
        pool = connection.client(
            settings,
            job_serializer=self.job_serializer,
            job_deserializer=self.job_deserializer,
            default_queue_name=self.queue_name,
            expires_extra_ms=self.expires_extra_ms,
        )
        for tries_left in reversed(range(settings.conn_retries + 1)):
            try:
                await connection.check(pool, str(settings.unix_socket_path or f"{settings.host}:{settings.port}"))
            except Unavailable as error:
                if tries_left == 0:
                    raise
                log.warning("redis_unreachable", error=str(error), tries_left=tries_left)
                await asyncio.sleep(settings.conn_retry_delay)
            else:
                break
        return pool

    def _address(self) -> RedisSettings:
        return self.redis_settings or connection.settings_of_client(self.pool)

    def _watch_loop(self) -> WatchedLoop:
        stalls = StallWriter(partial(connect_blocking, portable(self._address())), self.worker_id)
        return WatchedLoop(Reporter("worker", self.worker_id, stalls), self.offload.stall_seconds, stalls.close)

    def _burst_jobs_left(self) -> int | None:
        if not self.burst or self.max_burst_jobs < 0:
            return None
        return max(0, self.max_burst_jobs - self._jobs_started())

    async def _arq_heart_beat(self) -> None:
        try:
            with connection.reaching_redis():
                await self.heart_beat()
        except Unavailable:
            self._last_health_check = 0.0  # arq has noted it as done
            raise

    def _count_end(self, decision: Decision) -> None:
        match decision:
            case Succeed():
                self.jobs_complete += 1
            case Dead() | Abort():
                self.jobs_failed += 1
            case Drop():
                pass
            case _:
                self.jobs_retried += 1

    def _describe(self) -> dict[str, Any]:
        return {
            "queues": self.queue_names,
            "functions": sorted(self.job_functions),
            "slots": self.max_jobs,
            "running": len(self.tasks),
            "succeeded": self.jobs_complete,
            "failed": self.jobs_failed,
            "retried": self.jobs_retried,
            "stopping": self._is_stopping,
            "loop": describe_loop(self._watched),
            "executors": self._engine.executors.usage(self.queue_names) if self._engine is not None else [],
        }


def _for_arq(function: Any) -> Any:
    """Return something that arq's constructor takes for one of our functions; it is never called by arq."""
    if not isinstance(function, JobFunction):
        return function

    async def stands_for(ctx: dict[Any, Any]) -> None:
        """Run nothing: `offload.worker.attempt.run` runs the function itself."""

    return func(stands_for, name=function.name, timeout=function.timeout, max_tries=function.max_tries)


def _signature() -> inspect.Signature:
    """Return arq's parameters and ours: `arq.worker.get_kwargs` takes the ones named here from a WorkerSettings."""
    theirs = [parameter for name, parameter in inspect.signature(ArqWorker).parameters.items()]
    ours = inspect.Parameter("offload", inspect.Parameter.KEYWORD_ONLY, default=None)
    return inspect.Signature([*theirs, ours])


Worker.__signature__ = _signature()  # type: ignore[attr-defined]
