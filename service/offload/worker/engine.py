"""The engine of a worker: the claim loop, the attempts that it starts, and the parts that both consist of.

It is given values and a few calls. It does not know arq's worker, which has the constructor, the signals and the hooks.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog
from arq.connections import RedisSettings

from offload.client import Client
from offload.domain import callbacks
from offload.domain.catalogue import Catalogue
from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable
from offload.domain.functions import JobFunction
from offload.domain.policy import Decision, Requeue
from offload.loopwatch.watch import WatchedLoop
from offload.store import keys
from offload.store.connection import connection
from offload.store.connection.blocking import portable
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.fleet import queues as queue_limits
from offload.store.jobs import leases
from offload.store.jobs.artifacts import ArtifactFiles
from offload.store.jobs.codec import Codec
from offload.store.jobs.enqueue import JobStore
from offload.store.jobs.leases import AttemptEnd, Claimed
from offload.store.jobs.records import Records
from offload.worker import inbox, maintenance
from offload.worker.attempt.finish import Finisher
from offload.worker.attempt.invoke import Invoker
from offload.worker.attempt.notes import Notes
from offload.worker.attempt.ports import Services
from offload.worker.attempt.prepare import Resolver, Rules
from offload.worker.attempt.run import AttemptRunner, Hooks
from offload.worker.attempt.running import Running
from offload.worker.claims import Claims
from offload.worker.executors.executors import Executors
from offload.worker.guardian.guardian import GuardedWorker
from offload.worker.guardian.link import GuardianLink
from offload.worker.guardian.shared_page import Descriptors, SharedPage
from offload.worker.job_log import JobLog
from offload.worker.options import WorkerOptions
from offload.worker.overrides import Overrides
from offload.worker.scheduler import Scheduler
from offload.worker.side_tasks import SideTasks

log = structlog.get_logger(__name__)
_BROKEN_PAUSE_MS = 5_000
# One claim takes half the slots at most, so that while Redis works on a claim the jobs of the one before run.
_LEAST_BATCH, _MOST_BATCH = 10, 128
_FOREVER_MS = 10 * 365 * 86_400_000


class WorkerCalls(NamedTuple):
    """Calls from the engine into the worker that owns it.

    `burst_jobs_left` returns None if there is no limit; `recycle` takes the number of leaked threads; `orphaned` is
    called when the supervisor is gone.
    """

    may_claim: Callable[[], bool]
    burst_jobs_left: Callable[[], int | None]
    heart_beat: Callable[[], Awaitable[None]]
    count_end: Callable[[Decision], None]
    describe: Callable[[], dict[str, Any]]
    recycle: Callable[[int], None]
    orphaned: Callable[[], None]


class Engine:
    """Claims and runs jobs for one worker: `start`, `claim_until_stopped`, `close`.

    `tasks` is filled with the tasks of the attempts under way, by job id.
    """

    def __init__(
        self,
        options: WorkerOptions,
        rules: Rules,
        hooks: Hooks,
        functions: Mapping[str, JobFunction[Any, Any]],
        queues: Sequence[str],
        *,
        redis: RedisClient,
        address: RedisSettings,
        codec: Codec,
        job_log: JobLog,
        watched: WatchedLoop,
        side_tasks: SideTasks,
        tasks: dict[str, "asyncio.Task[Any]"],
        max_jobs: int,
        poll_seconds: float,
        burst: bool,
        calls: WorkerCalls,
    ) -> None:
        self.running: dict[str, Running] = {}
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._redis = redis
        self._queues = queues
        self._side_tasks = side_tasks
        self._tasks = tasks
        self._max_jobs = max_jobs
        self._poll_seconds = poll_seconds
        self._is_burst = burst
        self._calls = calls
        self._is_stopped = False
        self._unavailable_since: float | None = None
        self._last_heart_beat = 0.0
        self._left_to_others: set[str] = set()

        worker, lease_ms, retention = options.worker_id, round(options.lease_seconds * 1000), rules.retention
        runnable = dict(functions)
        known = {**options.catalogue.functions, **runnable}
        catalogue = Catalogue(known, options.catalogue.queues, {})
        self.outage = RedisOutage(worker=worker)
        self.overrides = Overrides(redis, [runnable, known])
        client = Client(JobStore(redis, codec, options.confirm), catalogue, retention, options.callbacks)
        self.scheduler = Scheduler(redis, client, options.catalogue.schedules.values(), self.outage)
        self.executors = Executors(
            catalogue, options.artifacts, options.process_recycle, options.abort_grace, options.max_leaked_threads
        )
        self.executors.leaks.full = calls.recycle
        self.notes = Notes(redis)
        self.finisher = Finisher(redis, worker, self.notes, self.outage)
        self.services = Services(
            redis,
            client,
            self.notes,
            ArtifactFiles(options.artifacts),
            self.executors,
            Records(redis, codec, known),
            artifact_keep_ms=retention.dead_ttl_ms,
        )
        resolver = Resolver(runnable, codec, rules)
        invoker = Invoker(codec, rules, self.services, self._loop, watched.slot)
        self.attempts = AttemptRunner(resolver, codec, rules, hooks, self.services, self.finisher, job_log, invoker)
        self.shared_page = _shared_page(options.page_fds)
        if watched.slot is not None:
            watched.slot.page = self.shared_page.step_page
        self._renew = partial(leases.renew, redis, worker, lease_ms)
        guarded = GuardedWorker(worker, portable(address), lease_ms, rules.max_tries, retention.dead_ttl_ms)
        self.guardian_link = GuardianLink(guarded, self.shared_page, self._renew, options.supervisor_fd)
        self._blocking = connection.client(address, answer_timeout=15.0)
        self.claims = Claims(
            redis,
            worker,
            queues,
            lease_ms=lease_ms,
            timeout_ms=_longest_ms(functions, rules.timeout),
            grace_ms=round(options.stuck_grace * 1000),
            poll=poll_seconds,
            batch=max(_LEAST_BATCH, min(_MOST_BATCH, max_jobs // 2)),
            free=lambda: max_jobs - len(self.running),
            appetite=self._appetite,
            start=self._start_attempt,
            abort=self._abort if rules.allow_abort_jobs else lambda _: None,
        )

    async def start(self) -> None:
        """Start the tasks beside the claim loop, and read the overrides from Redis."""
        start, options = self._side_tasks.start, self._options
        await asyncio.to_thread(self.shared_page.answer_guardian)
        if not await self._is_declared():
            start(self._declare_later())
        start(self.finisher.run())
        start(self.notes.run())
        await self.overrides.look()
        handlers = inbox.InboxHandlers(
            self.claims.wake, self._abort, self._lose_lease, lambda: start(self.overrides.look())
        )
        start(inbox.read_messages(self._blocking, options.worker_id, self.outage, handlers))
        apply = self.overrides.hear
        start(maintenance.maintain(self._redis, options.worker_id, self.outage, self._calls.describe, apply))
        start(maintenance.remove_old_artifacts(self.services.files, self.services.artifact_keep_ms))
        start(self.scheduler.fire_ticks())
        start(self.shared_page.keep_beating())
        if options.has_guardian:  # a burst that is over at once does without
            delay = options.lease_seconds / 6 if self._is_burst else 0
            start(self.guardian_link.keep_guardian(delay, orphaned=self._calls.orphaned))

    async def claim_until_stopped(self) -> None:
        """Claim and start jobs until `stop` or, in burst mode, until the queues are empty."""
        failures = 0
        while not self._is_stopped:  # besides the cancellation, which redis-py can swallow
            try:
                if failures:
                    await self._renew_after_outage()
                if self.claims.is_unsure:
                    await self.finisher.drained()
                    await self._release_unknown()
                # A worker that stops asks for none: it is no longer noted as idle, and what is due wakes another.
                await self.claims.claim_jobs(self._calls.burst_jobs_left() if self._calls.may_claim() else 0)
                if self._loop.time() - self._last_heart_beat >= self._poll_seconds:
                    self._last_heart_beat = self._loop.time()
                    await self._heart_beat()
                if self._is_burst and await self._is_burst_over():
                    return
                failures = 0
            except Unavailable as error:
                failures += 1
                self._unavailable_since = self._unavailable_since or self._loop.time()
                await self.outage.pause("claims", error)
            else:
                self.outage.served("claims")
                await self.claims.wait_for_jobs()

    def stop(self) -> None:
        """End the claim loop, and interrupt every attempt: its job is requeued."""
        self._is_stopped = True
        for running in list(self.running.values()):
            if running.task is not None and not running.task.done():
                running.stop("interrupted")

    async def close(self) -> None:
        """Write every ending, release the jobs of unsure claims, and end everything that was started."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=self._options.abort_grace + 5)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await self.finisher.drained()
        if self.claims.is_unsure:  # it was cancelled while Redis was handing jobs out
            with contextlib.suppress(Unavailable):
                await self._release_unknown()
        await self._side_tasks.cancel()
        await self.guardian_link.dismiss_guardian()
        await asyncio.to_thread(self.shared_page.close)
        self.executors.close(now=True)
        await self.services.close()
        await self._blocking.aclose()

    # Attempts.

    def _start_attempt(self, job: Claimed, good_until: float) -> None:
        if (older := self.running.get(job.id)) is not None:
            older.stop("lease_lost")
        running = self.running[job.id] = Running(job, good_until)
        running.task = self._tasks[job.id] = self._loop.create_task(self._run_attempt(running))

    async def _run_attempt(self, running: Running) -> None:
        job = running.job
        try:
            decision = await self.attempts.run(running)
            self._left_to_others.discard(job.id)
            if isinstance(decision, Requeue) and decision.due_ms is not None:
                self._left_to_others.add(job.id)
            self._calls.count_end(decision)
        except Exception:  # our own fault: the job is tried again, and the traceback is kept in the log
            log.exception("attempt_internal_error", job_id=job.id, function=job.function)
            due_ms = now_ms() + _BROKEN_PAUSE_MS
            self.finisher.submit(AttemptEnd(job.id, job.token, "retry", job.function, due_ms=due_ms))
        finally:
            if self.running.get(job.id) is running:
                del self.running[job.id], self._tasks[job.id]
            self.claims.wake() if self._is_burst else self.claims.slot_freed()

    def _abort(self, job_id: str) -> None:
        if (running := self.running.get(job_id)) is not None:
            running.stop("aborted")

    def _lose_lease(self, job_id: str, at_ms: int) -> None:
        running = self.running.get(job_id)
        if running is not None and running.job.claimed_ms < at_ms:  # a later claim got the job again
            running.stop("lease_lost")

    def _appetite(self, queue: str) -> int:
        running = sum(attempt.job.queue == queue for attempt in self.running.values())
        return self.executors.appetite(queue, self._max_jobs, running)

    # Redis that is unavailable, or refuses.

    async def _is_declared(self) -> bool:
        """Write the queues' limits; a Redis out of memory, which writes nothing new, does not stop the worker."""
        try:
            await queue_limits.declare(self._redis, self._options.catalogue.queues.values(), self._queues)
        except Unavailable as error:
            await self.outage.pause("queues", error)
            return False
        self.outage.served("queues")
        return True

    async def _declare_later(self) -> None:
        while not await self._is_declared():
            pass

    async def _heart_beat(self) -> None:
        """Do what arq does between polls: its health key, its cron. Where Redis refuses that, claims go on."""
        try:
            await self._calls.heart_beat()
        except Unavailable as error:
            self.outage.failed("heart_beat", error)
        else:
            self.outage.served("heart_beat")

    async def _renew_after_outage(self) -> None:
        """Renew before anything else is claimed, and let the other workers do so too.

        Leases may have run out meanwhile; whoever still runs the job must be able to take its lease up again.
        """
        interval = self._options.lease_seconds / 3
        await self._renew()
        if self._unavailable_since is not None and self._loop.time() - self._unavailable_since >= interval:
            await asyncio.sleep(interval)
        self._unavailable_since = None

    async def _release_unknown(self) -> None:
        known = {job_id: running.job.token for job_id, running in self.running.items()}
        for job_id in await self.claims.release_unknown(known):
            if (older := self.running.get(job_id)) is not None:
                older.stop("lease_lost")

    async def _is_burst_over(self) -> bool:
        if self._tasks and self._calls.burst_jobs_left() != 0:
            return False
        if self._calls.burst_jobs_left() == 0:
            await asyncio.gather(*self._tasks.values())
        await self.finisher.drained()
        if self._calls.burst_jobs_left() == 0:
            return True
        with connection.reaching_redis():
            queued = sum([await self._redis.zcard(keys.queue_key(queue)) for queue in self._queues])
        return not self._tasks and queued <= len(self._left_to_others)


def _shared_page(fds: Sequence[int] | None) -> SharedPage:
    """Return the page that the supervisor made, or a new one for a guardian that this process starts."""
    return SharedPage.create() if fds is None else SharedPage(Descriptors(*fds))


def _longest_ms(functions: Mapping[str, JobFunction[Any, Any]], timeout: float | None) -> int:
    """Return the longest that an attempt without a timeout of its own may take, in ms: renewal ends with it.

    The delivery of callbacks does not count: every worker has it, and it would outlast a shorter OFFLOAD_JOB_TIMEOUT.
    """
    timeouts = [function.timeout or timeout for name, function in functions.items() if name != callbacks.FUNCTION]
    if not timeouts or None in timeouts:
        return _FOREVER_MS
    return round(max(timeout for timeout in timeouts if timeout is not None) * 1000)
