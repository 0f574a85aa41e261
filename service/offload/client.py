"""The write side: enqueue, abort, retry, forget. Reading is `offload.inspector`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from offload import gc_tuning
from offload.domain import callbacks
from offload.domain.arguments import encode_arguments
from offload.domain.callbacks import Callbacks
from offload.domain.catalogue import Catalogue
from offload.domain.clock import now_ms
from offload.domain.errors import FieldError, InvalidArguments
from offload.domain.filters import BulkOutcome, Filter
from offload.domain.functions import NO_OPTIONS, EnqueueOptions, JobFunction
from offload.domain.idempotency import Mark
from offload.domain.records import JobRecord
from offload.domain.retention import Retention
from offload.domain.states import Status
from offload.store.jobs import idempotency
from offload.store.jobs.actions import Actions
from offload.store.jobs.enqueue import JobStore, NewJob, Stored
from offload.store.jobs.fields import record_fields, stored_options
from offload.store.jobs.ids import new_id, new_ids

ONE_STEP = 1000
"""The number of jobs that are stored in one step, all or none."""
_STEP = 500
_AHEAD = 2
_UNDER_WAY_MS = 10_000  # a request is carried out in far less; where its process died, the next may try then


@dataclass(slots=True)
class Request:
    """One job to enqueue: the function's name, its arguments as one mapping, and options."""

    function: str
    args: Mapping[str, Any] = field(default_factory=dict)
    options: EnqueueOptions = NO_OPTIONS


@dataclass(slots=True)
class Checked:
    """A request that can be accepted: its function, its arguments as JSON values, and these serialised.

    Nothing changes it. It is not frozen, as `Request` is not: one is made for each job, and frozen ones are slower.
    """

    function: JobFunction[Any, Any]
    request: Request
    encoded: bytes


class Enqueued:
    """A stored job. `is_new` is False if one exists already, with that id or that unique key.

    `id` is that of the existing job; `record` describes the requested one.
    """

    __slots__ = ("_at_ms", "_checked", "_job", "_record", "id", "is_new")

    def __init__(self, job: NewJob, checked: Checked, at_ms: int, stored: Stored) -> None:
        self.id = stored if isinstance(stored, str) else job.id
        self.is_new = stored is True
        self._job = job
        self._checked = checked
        self._at_ms = at_ms
        self._record: JobRecord | None = None

    @property
    def record(self) -> JobRecord:
        """The job as it was stored; made on demand, since most callers that enqueue many jobs do not read it."""
        if self._record is None:  # functools' cached_property takes a lock
            self._record = self._as_record(self._job, self._checked, self._at_ms)
        return self._record

    def _as_record(self, job: NewJob, checked: Checked, at_ms: int) -> JobRecord:
        function, request, options = checked.function, checked.request, checked.request.options
        due_ms = job.due_ms or at_ms
        return JobRecord(
            id=job.id,
            function=function.name,
            queue=job.queue,
            status=Status.DEFERRED if due_ms > at_ms else Status.QUEUED,
            attempt=0,
            max_tries=options.max_tries or function.max_tries,
            enqueued_ms=at_ms,
            due_ms=due_ms,
            deadline_ms=options.deadline_ms,
            timeout=options.timeout or function.timeout,
            args=function.arguments.masked(request.args),
            tags=options.tags,
            parent=options.parent,
            callback_url=options.callback_url,
            priority=options.priority,
            unique_key=options.unique_key,
        )


class Client:
    """Enqueues jobs and acts on them. Concurrent callers in one event loop share round trips."""

    def __init__(
        self,
        store: JobStore,
        catalogue: Catalogue,
        retention: Retention = Retention(),  # noqa: B008 - a value
        callbacks: Callbacks = Callbacks(),  # noqa: B008 - a value
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._actions = Actions(store.redis, store.codec, retention)
        self._callbacks = callbacks

    async def enqueue(
        self, function: str, args: Mapping[str, Any] | None = None, options: EnqueueOptions | None = None
    ) -> Enqueued:
        """Store one job; it is durable when this returns.

        Raises UnknownFunction, InvalidArguments (each field named), Unavailable, and Unconfirmed if it is stored
        but replicas or disks that were to confirm it did not in time.
        """
        return await self.enqueue_checked(self.check(Request(function, args or {}, options or NO_OPTIONS)))

    async def enqueue_checked(self, checked: Checked, mark: Mark | None = None) -> Enqueued:
        """Store one checked request. With a mark that no longer holds, raise IdempotencyKeyInUse instead."""
        job = self._prepare(checked, now_ms())
        job.mark = mark
        at_ms, stored = await self._store.enqueue(job)
        return Enqueued(job, checked, at_ms, stored)

    async def enqueue_many(self, requests: Sequence[Request]) -> list[Enqueued]:
        """Store many jobs; all are checked before any is stored, and up to 1,000 are stored all or none.

        More are stored in steps; each is prepared while Redis stores the one before. Raises as `enqueue` does.
        """
        with gc_tuning.paused():
            checked = [self.check(request) for request in requests]
        if len(checked) <= ONE_STEP:
            return await self.enqueue_all(checked)
        steps: list[asyncio.Task[list[Enqueued]]] = []
        try:
            async with asyncio.TaskGroup() as group:
                for first in range(0, len(checked), _STEP):
                    steps.append(group.create_task(self.enqueue_all(checked[first : first + _STEP])))
                    await asyncio.sleep(0)  # it is on its way
                    if len(steps) > _AHEAD:
                        await steps[-1 - _AHEAD]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [one for step in steps for one in step.result()]

    async def enqueue_all(self, checked: Sequence[Checked], mark: Mark | None = None) -> list[Enqueued]:
        """Store up to 1,000 checked requests, all or none; a mark works as for `enqueue_checked`."""
        if not checked and mark is None:
            return []
        with gc_tuning.paused():
            made_ms = now_ms()
            ids = new_ids(made_ms, len(checked))
            jobs = [self._prepare(one, made_ms, job_id) for one, job_id in zip(checked, ids, strict=True)]
        at_ms, stored = await self._store.enqueue_many(jobs, mark)
        with gc_tuning.paused():
            return [Enqueued(job, one, at_ms, outcome) for job, one, outcome in zip(jobs, checked, stored, strict=True)]

    async def begin_request(self, who: str, key: str, fingerprint: str) -> Mark | tuple[str, ...]:
        """Begin a request that came with an idempotency key, or return the ids of the jobs that it enqueued before.

        The keys of different callers (`who`) are separate. The mark is for `enqueue_checked`, `enqueue_all`, or
        `abandon_request`. Raises IdempotencyKeyInUse if the same request is under way, IdempotencyKeyReused if the key
        came with another request.
        """
        stands_ms = _UNDER_WAY_MS + round(self.longest_confirmation * 1000)
        return await idempotency.begin(self._store.redis, who, key, fingerprint, stands_ms)

    async def confirm(self, ids: Sequence[str]) -> None:
        """Return when the jobs of an earlier request are confirmed, as for new jobs; raises as `enqueue` does."""
        await self._store.confirm_again(ids)

    async def abandon_request(self, mark: Mark) -> None:
        """Let an idempotency key be used again: its request was refused, and enqueued nothing."""
        await idempotency.abandon(self._store.redis, mark)

    @property
    def longest_confirmation(self) -> float:
        """The most seconds that the confirmation by replicas or disks may add to an enqueue."""
        return self._store.confirm.longest

    async def abort(self, job_id: str) -> str:
        """Stop a job: return `aborted` at once if it waits, `aborting` if it runs, else its terminal status.

        Raises NotFound.
        """
        return await self._actions.abort(job_id, now_ms())

    async def retry(self, job_id: str) -> None:
        """Replay a dead or aborted job, or run a deferred or retrying one now. Raises NotFound, Conflict."""
        await self._actions.replay(job_id)

    async def forget(self, job_id: str) -> None:
        """Remove a job that has ended, with all its data. Raises NotFound, Conflict."""
        await self._actions.forget(job_id)

    async def abort_all(self, which: Filter, limit: int, *, dry_run: bool = False) -> BulkOutcome:
        """Abort jobs that fit and have not ended, at most `limit`; see BulkOutcome. Raises InvalidOptions."""
        return await self._actions.abort_all(which, limit, now_ms(), dry_run=dry_run)

    async def retry_all(self, which: Filter, limit: int, *, dry_run: bool = False) -> BulkOutcome:
        """Retry jobs that fit and can be retried, at most `limit`; see BulkOutcome. Raises InvalidOptions."""
        return await self._actions.replay_all(which, limit, dry_run=dry_run)

    def prepare(self, request: Request) -> NewJob:
        """Check one request and prepare its job for the store; raises as `enqueue` does."""
        return self._prepare(self.check(request), now_ms())

    def check(self, request: Request, *, is_json: bool = False) -> Checked:
        """Find the function and check the arguments; raises UnknownFunction, InvalidArguments.

        `is_json` means that the arguments came as JSON, so that they need no conversion to JSON values.
        """
        function = self._catalogue.function(request.function)
        if not request.args and request.options is NO_OPTIONS and function.arguments.is_empty:
            return Checked(function, request, b"{}")
        try:
            encoded = encode_arguments(request.args)
        except TypeError as error:
            fault = FieldError("", f"cannot be carried as JSON: {error}", "not_serializable")
            raise InvalidArguments(function.name, [fault]) from error
        if not is_json:
            request = Request(request.function, orjson.loads(encoded), request.options)
        function.arguments.check(request.args)
        if request.options.callback_url is not None:
            self._callbacks.check(request.options.callback_url, self._catalogue.functions)
        return Checked(function, request, encoded)

    def _prepare(self, checked: Checked, at_ms: int, job_id: str = "") -> NewJob:
        """Prepare the job of a checked request, under this id where the request has none."""
        function, options = checked.function, checked.request.options
        codec, args = self._store.codec, checked.request.args
        job = NewJob(
            id=options.job_id or job_id or new_id(at_ms),
            queue=options.queue or function.queue,
            due_ms=0 if options.delay is None and options.run_at_ms is None else options.due_ms(at_ms),
            payload=codec.encode_job(function.name, args, at_ms, encoded=checked.encoded),
            fields=record_fields(function, options, args),
        )
        if options.callback_url is not None:
            job.fields = {**job.fields, **self._callback(job.id, options, at_ms)}
        return job

    def _callback(self, job_id: str, options: EnqueueOptions, at_ms: int) -> dict[str, str | int | bytes]:
        """Prepare the callback job; the script that ends this job enqueues it (lib/callback.lua)."""
        function = self._catalogue.function(callbacks.FUNCTION)
        its_options = EnqueueOptions(parent=job_id, traceparent=options.traceparent)
        options_json = {**stored_options(its_options), "callback": {"job": job_id}}
        flat = [str(part) for pair in record_fields(function, NO_OPTIONS, {}).items() for part in pair]
        return {
            "callback": self._store.codec.encode_job(function.name, {"url": options.callback_url}, at_ms),
            "callback_job": orjson.dumps({"queue": function.queue, "fields": flat, "options": options_json}),
        }
