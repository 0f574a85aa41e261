"""What one run of a worker is made of, put together; each part is a module of its own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from arq.connections import RedisSettings

from offload.client import Client
from offload.domain.catalogue import Catalogue
from offload.domain.functions import JobFunction
from offload.loopwatch.watched import WatchedLoop
from offload.store.connection import connection
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.guardian import portable
from offload.store.jobs import leases
from offload.store.jobs.artifacts import ArtifactFiles
from offload.store.jobs.codec import Codec
from offload.store.jobs.enqueue import JobStore
from offload.store.jobs.leases import Claimed
from offload.store.jobs.records import Records
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

# One claim takes half the slots at most, so that while Redis works on a claim the jobs of the one before run.
_LEAST_BATCH, _MOST_BATCH = 10, 128
_FOREVER_MS = 10 * 365 * 86_400_000


@dataclass(frozen=True)
class Plan:
    """All that the parts are made from."""

    worker: str
    queues: Sequence[str]
    functions: dict[str, JobFunction[Any, Any]]
    options: WorkerOptions
    rules: Rules
    hooks: Hooks
    codec: Codec
    max_jobs: int
    poll: float
    address: RedisSettings
    redis: RedisClient
    words: JobLog


class Parts:
    """The parts of one run; the worker starts their tasks and closes them."""

    def __init__(
        self,
        plan: Plan,
        running: Mapping[str, Running],
        start: Callable[[Claimed, float], None],
        stop: Callable[[str, str], None],
        watched: WatchedLoop,
    ) -> None:
        loop = asyncio.get_running_loop()
        options, redis, kept = plan.options, plan.redis, plan.rules.retention
        declared = options.catalogue
        functions = {**declared.functions, **plan.functions}
        catalogue = Catalogue(functions, declared.queues, {})
        self.overrides = Overrides(redis, [plan.functions, functions])
        lease_ms = round(options.lease_seconds * 1000)
        client = Client(JobStore(redis, plan.codec, options.confirm), catalogue, kept, options.callbacks)
        files = ArtifactFiles(options.artifacts)
        charge = GuardedWorker(plan.worker, portable(plan.address), lease_ms, plan.rules.max_tries, kept.dead_ms)
        self.executors = Executors(
            catalogue, options.artifacts, options.process_recycle, options.abort_grace, options.max_leaked_threads
        )
        self.away = RedisOutage(worker=plan.worker)
        self.notes = Notes(redis)
        self.finisher = Finisher(redis, plan.worker, self.notes, self.away)
        records = Records(redis, plan.codec, catalogue.functions)
        self.services = Services(
            redis, client, self.notes, files, self.executors, records, artifact_keep_ms=kept.dead_ms
        )
        opener = Resolver(plan.functions, plan.codec, plan.rules)
        caller = Invoker(plan.codec, plan.rules, self.services, loop, watched.slot)
        self.attempts = AttemptRunner(
            opener, plan.codec, plan.rules, plan.hooks, self.services, self.finisher, plan.words, caller
        )
        self.renew = partial(leases.renew, redis, plan.worker, lease_ms)
        self.pulse = (
            SharedPage(Descriptors(*options.pulse_fds)) if options.pulse_fds is not None else SharedPage.create()
        )
        if watched.slot is not None:
            watched.slot.page = self.pulse.step_page
        self.guard = GuardianLink(charge, self.pulse, self.renew, options.parent_guard_fd)
        self.blocking = connection.client(plan.address, answer_timeout=15.0)
        self.ticks = Scheduler(redis, client, declared.schedules.values(), self.away)
        self.claims = Claims(
            redis,
            plan.worker,
            plan.queues,
            lease_ms=lease_ms,
            timeout_ms=_longest_ms(plan),
            grace_ms=round(options.stuck_grace * 1000),
            poll=plan.poll,
            batch=max(_LEAST_BATCH, min(_MOST_BATCH, plan.max_jobs // 2)),
            free=lambda: plan.max_jobs - len(running),
            appetite=lambda queue: self.executors.appetite(
                queue, plan.max_jobs, sum(one.job.queue == queue for one in running.values())
            ),
            start=start,
            abort=lambda job_id: stop(job_id, "aborted") if plan.rules.allow_abort_jobs else None,
        )

    async def close(self) -> None:
        """Take leave of the guardian and end everything that was started."""
        await self.guard.goodbye()
        await asyncio.to_thread(self.pulse.close)
        self.executors.close(now=True)
        await self.services.close()
        await self.blocking.aclose()


def _longest_ms(plan: Plan) -> int:
    """Return the longest an attempt may take that says nothing of its own, in ms: renewal ends with it."""
    timeouts = [function.timeout or plan.rules.timeout for function in plan.functions.values()]
    if not timeouts or None in timeouts:
        return _FOREVER_MS
    return round(max(timeout for timeout in timeouts if timeout is not None) * 1000)
