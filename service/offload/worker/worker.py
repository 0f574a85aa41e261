"""`Worker`: arq's worker, with its constructor, signals, hooks and cron, on Offload's engine.

It starts the parts, has them claim and run, and stops them; each part is a module of its own. What arq does in `main`,
`start_jobs` and `run_job` is not used.
"""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from functools import partial
from signal import Signals
from typing import Any, cast

import structlog
from arq.worker import Worker as ArqWorker
from arq.worker import func

from offload.domain.catalogue import as_job_function, of_functions
from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable
from offload.domain.functions import JobFunction
from offload.domain.policy import Abort, Dead, Decision, Drop, Requeue, Succeed
from offload.loopwatch.watch import WatchedLoop
from offload.store import keys
from offload.store.connection import connection
from offload.store.fleet import queues, workers
from offload.store.jobs.leases import AttemptEnd, Claimed
from offload.worker import engine, inbox, loop_report, signals
from offload.worker.attempt.running import Running
from offload.worker.job_log import ArqJobLog, JobLog, Phase, StructuredJobLog
from offload.worker.maintenance import upkeep
from offload.worker.options import WorkerOptions
from offload.worker.parts import Parts
from offload.worker.side_tasks import SideTasks

log = structlog.get_logger(__name__)
_BROKEN_PAUSE_MS = 5_000


class Worker(ArqWorker):
    """Takes arq's arguments, and `offload` for what arq has no word for."""

    def __init__(
        self, functions: Sequence[Any] = (), *, offload: WorkerOptions | None = None, **arq_arguments: Any
    ) -> None:
        self.offload = offload or WorkerOptions()
        given = [one if isinstance(one, JobFunction) else func(one) for one in functions]
        found = of_functions(given)
        super().__init__([engine.for_arq(one) for one in given], **arq_arguments)
        found.update({name: as_job_function(cron) for name, cron in self.functions.items() if name not in found})
        self.found: dict[str, JobFunction[Any, Any]] = found
        self._running: dict[str, Running] = {}
        self._sides = SideTasks(self.loop, self._stop_main)
        speaks_arq = all(function.is_plain for function in found.values())
        self.words: JobLog = ArqJobLog(log_results=self.log_results) if speaks_arq else StructuredJobLog()
        self._is_stopping = False
        self._is_told_to_stop = False
        self.is_recycled = False
        self._has_waited = False
        self._away_since: float | None = None
        self._not_ours: set[str] = set()
        self._parts: Parts | None = None
        self._watched: WatchedLoop | None = None
        self._last_heart_beat = 0.0
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
        self.allow_pick_jobs, self._is_stopping, self._is_told_to_stop = True, False, False
        if self._pool is None:
            self._pool = await engine.connect(self)
        self.ctx["redis"] = self.pool
        watched = self._watched = engine.watched(self)
        await watched.start()  # before `on_startup`, so that what it does to the loop is seen
        if self.on_startup:
            await self.on_startup(self.ctx)
        parts = await self._compose(watched)
        self.words.starting(self.worker_id, self.queue_names, list(self.found))
        try:
            await self._claim_until_done(parts)
        except asyncio.CancelledError:
            if failed := self._sides.failure:
                raise failed from None
            raise

    async def close(self) -> None:
        """Put back or finish what runs, write every ending, take leave of Redis, and close what was opened."""
        if not self._handle_signals and not self._is_stopping:
            self.handle_sig(signal.SIGUSR1)
        if not self._pool:
            return
        if self._parts is not None:
            parts, self._parts = self._parts, None
            await self._close_parts(parts)
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

    def handle_sig(self, signum: Signals) -> None:
        """Stop now: every running attempt is interrupted and put back."""
        sig = Signals(signum)
        self.allow_pick_jobs, self._is_stopping, self._is_told_to_stop = False, True, True
        self._say_stopping(sig, "waited" if self._has_waited else "now")
        for job_id, task in list(self.tasks.items()):
            if not task.done():
                running = self._running.get(job_id)
                running.stop("interrupted") if running is not None else task.cancel()
        self._stop_main()
        if self.on_stop is not None:
            self.on_stop(sig)

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Claim no more and wait for what runs, up to `job_completion_wait`; a second signal stops at once."""
        if self._is_stopping:
            self.handle_sig(signum)
            return
        self.allow_pick_jobs, self._is_stopping = False, True
        self._say_stopping(Signals(signum), "waiting")
        self._sides.start(self._stop_when_done(signum))

    def stop_in_time(self) -> None:
        """Claim no more and wait for what runs; asked again, go on waiting."""
        if not self._is_stopping:
            self.handle_sig_wait_for_completion(signal.SIGTERM)

    def _recycle(self, leaked: int) -> None:
        """Stop in order, for too many threads are lost to calls that do not come back; a fresh process has all."""
        if not self._is_stopping:
            self.is_recycled = True
            log.warning("worker_recycles", worker=self.worker_id, leaked=leaked)
            self.stop_in_time()

    async def _stop_when_done(self, signum: Signals) -> None:
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=self._job_completion_wait)
        self._has_waited = True
        self.handle_sig(signum)

    def _say_stopping(self, sig: Signals, phase: Phase) -> None:
        done = {"complete": self.jobs_complete, "failed": self.jobs_failed, "retried": self.jobs_retried}
        self.words.stopping(sig.name, {**done, "running": len(self.tasks)}, phase)

    # The parts and who runs them.

    async def _compose(self, watched: WatchedLoop) -> Parts:
        parts = self._parts = Parts(engine.plan(self), self._running, self._start, self._stop_attempt, watched)
        parts.executors.leaks.full = self._recycle
        await asyncio.to_thread(parts.pulse.offer)
        if not await self._is_declared(parts):
            self._sides.start(self._declare_later(parts))
        self._sides.start(parts.finisher.run())
        self._sides.start(parts.notes.run())
        await parts.overrides.look()
        heard = inbox.InboxHandlers(
            parts.claims.wake, self._abort, self._lost, lambda: self._sides.start(parts.overrides.look())
        )
        self._sides.start(inbox.read(parts.blocking, self.worker_id, parts.outage, heard))
        self._sides.start(upkeep(self.pool, self.worker_id, parts.outage, self._about, parts.overrides.hear))
        self._sides.start(parts.ticks.run())
        self._sides.start(parts.pulse.run())
        if self.offload.has_guardian:  # a burst that is over at once does without
            delay = self.offload.lease_seconds / 6 if self.burst else 0
            self._sides.start(parts.guard.run(delay, orphaned=partial(signals.take_back, self)))
        return parts

    async def _close_parts(self, parts: Parts) -> None:
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=self.offload.abort_grace + 5)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await parts.finisher.drained()
        if parts.claims.is_unsure:  # it was cancelled while Redis was handing jobs out
            with contextlib.suppress(Unavailable):
                await self._give_back_unknown(parts)
        await self._sides.cancel()
        await parts.close()

    async def _is_declared(self, parts: Parts) -> bool:
        """Write the queues' limits; a Redis that writes nothing new, for want of memory, keeps nobody from running."""
        try:
            await queues.declare(self.pool, self.offload.catalogue.queues.values(), self.queue_names)
        except Unavailable as error:
            await parts.outage.pause("queues", error)
            return False
        parts.outage.served("queues")
        return True

    async def _declare_later(self, parts: Parts) -> None:
        while not await self._is_declared(parts):
            pass

    # Claiming and running.

    async def _claim_until_done(self, parts: Parts) -> None:
        failures = 0
        while not self._is_told_to_stop:  # beside the cancellation, which redis-py can swallow
            try:
                if failures:
                    await self._come_back(parts)
                if parts.claims.is_unsure:
                    await parts.finisher.drained()
                    await self._give_back_unknown(parts)
                # A worker that stops asks for none: it is no longer noted as idle, and what is due wakes another.
                await parts.claims.once(self._burst_jobs_left() if self.allow_pick_jobs else 0)
                if self.loop.time() - self._last_heart_beat >= self.poll_delay_s:
                    self._last_heart_beat = self.loop.time()
                    await self._beat(parts)
                if self.burst and await self._is_burst_over(parts):
                    return
                failures = 0
            except Unavailable as error:
                failures += 1
                self._away_since = self._away_since or self.loop.time()
                await parts.outage.pause("claims", error)
            else:
                parts.outage.served("claims")
                await parts.claims.wait()

    async def _beat(self, parts: Parts) -> None:
        """Do what arq does between polls: its health key, its cron. Where Redis refuses that, claims go on."""
        try:
            with connection.reaching_redis():
                await self.heart_beat()
        except Unavailable as error:
            self._last_health_check = 0.0  # arq has noted it as done
            parts.outage.failed("heart_beat", error)
        else:
            parts.outage.served("heart_beat")

    async def _come_back(self, parts: Parts) -> None:
        """After an outage of Redis renew before anything else is claimed, and let the other workers do so too.

        Leases may have run out meanwhile; whoever still runs the job must be able to take its lease up again.
        """
        interval = self.offload.lease_seconds / 3
        await parts.renew()
        if self._away_since is not None and self.loop.time() - self._away_since >= interval:
            await asyncio.sleep(interval)
        self._away_since = None

    async def _give_back_unknown(self, parts: Parts) -> None:
        known = {job_id: running.job.token for job_id, running in self._running.items()}
        for job_id in await parts.claims.give_back_unknown(known):
            self._stop_attempt(job_id, "lease_lost")  # an older attempt of it, if any

    def _burst_jobs_left(self) -> int | None:
        if not self.burst or self.max_burst_jobs < 0:
            return None
        return max(0, self.max_burst_jobs - self._jobs_started())

    async def _is_burst_over(self, parts: Parts) -> bool:
        if self.tasks and self._burst_jobs_left() != 0:
            return False
        if self._burst_jobs_left() == 0:
            await asyncio.gather(*self.tasks.values())
        await parts.finisher.drained()
        if self._burst_jobs_left() == 0:
            return True
        with connection.reaching_redis():
            queued = sum([await self.pool.zcard(keys.queue_key(q)) for q in self.queue_names])
        return not self.tasks and queued <= len(self._not_ours)  # what this worker cannot run is left to others

    def _start(self, job: Claimed, good_until: float) -> None:
        if (older := self._running.get(job.id)) is not None:
            older.stop("lease_lost")
        running = self._running[job.id] = Running(job, good_until)
        task = running.task = self.loop.create_task(self._attempt(running))
        self.tasks[job.id] = self.job_tasks[job.id] = task

    async def _attempt(self, running: Running) -> None:
        job, parts = running.job, cast(Parts, self._parts)
        try:
            self._count(job.id, await parts.attempts.run(running))
        except Exception:  # our own fault: the job is tried again, and the traceback is kept in the log
            log.exception("attempt_broke", job_id=job.id, function=job.function)
            due_ms = now_ms() + _BROKEN_PAUSE_MS
            parts.finisher.submit(AttemptEnd(job.id, job.token, "retry", job.function, due_ms=due_ms))
        finally:
            if self._running.get(job.id) is running:
                del self._running[job.id], self.tasks[job.id], self.job_tasks[job.id]
            parts.claims.wake() if self.burst else parts.claims.freed()

    def _abort(self, job_id: str) -> None:
        self._stop_attempt(job_id, "aborted")

    def _lost(self, job_id: str, at_ms: int) -> None:
        running = self._running.get(job_id)
        if running is not None and running.job.claimed_ms < at_ms:  # a later claim got the job again
            running.stop("lease_lost")

    def _stop_attempt(self, job_id: str, why: str) -> None:
        if (running := self._running.get(job_id)) is not None:
            running.stop(why)

    def _count(self, job_id: str, decision: Decision) -> None:
        self._not_ours.discard(job_id)
        match decision:
            case Requeue(due_ms) if due_ms is not None:
                self._not_ours.add(job_id)
            case Succeed():
                self.jobs_complete += 1
            case Dead() | Abort():
                self.jobs_failed += 1
            case Drop():
                pass
            case _:
                self.jobs_retried += 1

    def _stop_main(self) -> None:
        if self.main_task is not None:
            self.main_task.cancel()

    def _about(self) -> dict[str, Any]:
        return {
            "id": self.worker_id,
            "queues": self.queue_names,
            "functions": sorted(self.found),
            "slots": self.max_jobs,
            "running": len(self._running),
            "succeeded": self.jobs_complete,
            "failed": self.jobs_failed,
            "retried": self.jobs_retried,
            "stopping": self._is_stopping,
            "loop": loop_report.of(self._watched),
            "executors": self._parts.executors.usage(self.queue_names) if self._parts is not None else [],
        }


Worker.__signature__ = engine.signature()  # type: ignore[attr-defined]
