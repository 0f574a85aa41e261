"""What callers call to put work in: enqueue, wait, abort, retry. Reading is `service.inspector`."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from service.domain.catalogue import Catalogue
from service.domain.clock import now_ms
from service.domain.errors import InvalidArguments
from service.domain.functions import EnqueueOptions, JobFunction
from service.domain.records import JobRecord
from service.domain.states import Status
from service.store.codec import plain
from service.store.jobs import JobStore, Kept, NewJob


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A stored job. `is_new` is False where a job of that id existed before; then `record` is what was asked for."""

    id: str
    is_new: bool
    record: JobRecord


@dataclass(frozen=True, slots=True)
class Request:
    """One job to enqueue: the function's name, its arguments as one mapping, and options."""

    function: str
    args: Mapping[str, Any] = field(default_factory=dict)
    options: EnqueueOptions = field(default_factory=EnqueueOptions)


def new_id() -> str:
    """Return a job id: 32 hex digits, the first twelve the time in ms, so that ids sort by age."""
    return f"{now_ms():012x}{secrets.token_hex(10)}"


class Client:
    """Puts jobs in. Safe for many concurrent callers in one event loop; they share round trips."""

    def __init__(self, store: JobStore, catalogue: Catalogue, kept: Kept | None = None) -> None:
        self._store = store
        self._catalogue = catalogue
        self._kept = kept or Kept()

    async def enqueue(
        self, function: str, args: Mapping[str, Any] | None = None, options: EnqueueOptions | None = None
    ) -> Enqueued:
        """Store one job; it is durable when this returns.

        Raises UnknownFunction, InvalidArguments (each field named), Unavailable, and Unconfirmed where it is stored
        but replicas or disks that were to confirm it did not in time.
        """
        job, request = self.prepare(Request(function, args or {}, options or EnqueueOptions()))
        at_ms, is_new = await self._store.put(job)
        return Enqueued(job.id, is_new, self._record(job, request, at_ms))

    async def enqueue_many(self, requests: Sequence[Request]) -> list[Enqueued]:
        """Store many jobs in one step: all are checked before any is stored. Raises as `enqueue` does."""
        prepared = [self.prepare(request) for request in requests]
        if not prepared:
            return []
        at_ms, created = await self._store.put_many([job for job, _ in prepared])
        return [
            Enqueued(job.id, is_new, self._record(job, request, at_ms))
            for (job, request), is_new in zip(prepared, created, strict=True)
        ]

    @property
    def longest_confirmation(self) -> float:
        """Seconds that an enqueue may take beyond the usual, for the replicas or disks that must confirm it."""
        return self._store.confirm.longest

    async def abort(self, job_id: str) -> str:
        """Stop a job: return `aborted` at once where it waits, `aborting` where it runs, else its terminal status.

        Raises NotFound.
        """
        return await self._store.abort(job_id, self._kept, now_ms())

    async def retry(self, job_id: str) -> None:
        """Put a dead or aborted job back, or run a deferred or retrying one now. Raises NotFound, Conflict."""
        await self._store.replay(job_id)

    def prepare(self, request: Request) -> tuple[NewJob, Request]:
        """Check one request and make it ready to be stored."""
        function = self._catalogue.function(request.function)
        options = request.options
        given = _plain_arguments(function, request.args)
        function.arguments.validate(given)
        at_ms = now_ms()
        job = NewJob(
            id=options.job_id or new_id(),
            queue=options.queue or function.queue,
            due_ms=0 if options.delay is None and options.run_at_ms is None else options.due_ms(at_ms),
            payload=self._store.codec.encode_job(function.name, given, at_ms),
            fields=record_fields(function, options),
        )
        return job, Request(request.function, given, options)

    def _record(self, job: NewJob, request: Request, at_ms: int) -> JobRecord:
        function, options = self._catalogue.function(request.function), request.options
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
        )


def record_fields(function: JobFunction[Any, Any], options: EnqueueOptions) -> dict[str, str | int | bytes]:
    """Return what the record of a new job holds beside its queue and times; `function` comes first."""
    fields: dict[str, str | int | bytes] = {"function": function.name}
    if tries := options.max_tries or function.max_tries:
        fields["max_tries"] = tries
    if timeout := options.timeout or function.timeout:
        fields["timeout"] = round(timeout * 1000)
    said: dict[str, Any] = {
        "max_tries": options.max_tries,
        "timeout": options.timeout,
        "deadline": options.deadline_ms,
        "keep_result": options.keep_result,
        "tags": list(options.tags) or None,
        "traceparent": options.traceparent,
        "parent": options.parent,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if said:
        fields["options"] = orjson.dumps(said)
    return fields


def _plain_arguments(function: JobFunction[Any, Any], args: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return plain(dict(args))
    except TypeError as error:
        raise InvalidArguments(function.name, []) from error
