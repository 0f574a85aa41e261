"""What callers call to put work in: enqueue, wait, abort, retry. Reading is `service.inspector`."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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

ONE_STEP = 1000
"""So many jobs are stored in one step, all or none."""
_STEP = 500
_AHEAD = 2
_NO_OPTIONS = EnqueueOptions()


@dataclass(frozen=True, slots=True)
class Request:
    """One job to enqueue: the function's name, its arguments as one mapping, and options."""

    function: str
    args: Mapping[str, Any] = field(default_factory=dict)
    options: EnqueueOptions = _NO_OPTIONS


class Enqueued:
    """A stored job. `is_new` is False where a job of that id existed before; then `record` is what was asked for."""

    def __init__(self, job: NewJob, function: JobFunction[Any, Any], request: Request, at_ms: int, is_new: int) -> None:
        self.id = job.id
        self.is_new = bool(is_new)
        self._made = (job, function, request, at_ms)

    @cached_property
    def record(self) -> JobRecord:
        """The job as it was stored; made when it is asked for, since most who enqueue many do not."""
        job, function, request, at_ms = self._made
        due_ms, options = job.due_ms or at_ms, request.options
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


def new_id(at_ms: int) -> str:
    """Return a job id: 32 hex digits, the first twelve the time in ms, so that ids sort by age."""
    return f"{at_ms:012x}{os.urandom(10).hex()}"


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
        request = Request(function, args or {}, options or _NO_OPTIONS)
        prepared = self._prepare(self._check(request), now_ms())
        at_ms, is_new = await self._store.put(prepared[0])
        return Enqueued(*prepared, at_ms, is_new)

    async def enqueue_many(self, requests: Sequence[Request]) -> list[Enqueued]:
        """Store many jobs; all are checked before any is stored, and up to 1,000 are stored all or none.

        More are stored in steps, the next being made ready while Redis stores the one before. Raises as `enqueue` does.
        """
        checked = [self._check(request) for request in requests]
        if len(checked) <= ONE_STEP:
            return await self._put(checked)
        steps: list[asyncio.Task[list[Enqueued]]] = []
        try:
            async with asyncio.TaskGroup() as group:
                for first in range(0, len(checked), _STEP):
                    steps.append(group.create_task(self._put(checked[first : first + _STEP])))
                    await asyncio.sleep(0)  # it is on its way
                    if len(steps) > _AHEAD:
                        await steps[-1 - _AHEAD]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [one for step in steps for one in step.result()]

    async def _put(self, checked: "Sequence[_Checked]") -> list[Enqueued]:
        if not checked:
            return []
        made_ms = now_ms()
        prepared = [self._prepare(one, made_ms) for one in checked]
        at_ms, created = await self._store.put_many([one[0] for one in prepared])
        return [
            Enqueued(job, function, request, at_ms, is_new)
            for (job, function, request), is_new in zip(prepared, created, strict=True)
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

    def prepare(self, request: Request) -> NewJob:
        """Check one request and make it ready to be stored; raises as `enqueue` does."""
        return self._prepare(self._check(request), now_ms())[0]

    def _check(self, request: Request) -> "_Checked":
        """Find the function and check the arguments."""
        function = self._catalogue.function(request.function)
        if request.args:
            request = Request(request.function, _plain_arguments(function, request.args), request.options)
        function.arguments.validate(request.args)
        return function, request

    def _prepare(self, checked: "_Checked", at_ms: int) -> tuple[NewJob, JobFunction[Any, Any], Request]:
        """Make a checked request ready to be stored."""
        function, request = checked
        options = request.options
        job = NewJob(
            id=options.job_id or new_id(at_ms),
            queue=options.queue or function.queue,
            due_ms=0 if options.delay is None and options.run_at_ms is None else options.due_ms(at_ms),
            payload=self._store.codec.encode_job(function.name, dict(request.args), at_ms),
            fields=record_fields(function, options),
        )
        return job, function, request


_Checked = tuple[JobFunction[Any, Any], Request]


def record_fields(function: JobFunction[Any, Any], options: EnqueueOptions) -> dict[str, str | int | bytes]:
    """Return what the record of a new job holds beside its queue and times; `function` comes first."""
    fields: dict[str, str | int | bytes] = {"function": function.name}
    if tries := options.max_tries or function.max_tries:
        fields["max_tries"] = tries
    if timeout := options.timeout or function.timeout:
        fields["timeout"] = round(timeout * 1000)
    if options is _NO_OPTIONS:
        return fields
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
