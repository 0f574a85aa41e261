"""Enqueueing over HTTP: one job by the typed call of its function, or a batch of any functions in one step."""

from collections.abc import Sequence
from functools import partial

import orjson
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from offload.api import asgi, batch, options, waiting
from offload.api.asgi import Answer, Headers
from offload.api.fast_path import FastRoute
from offload.api.idempotency import HEADER, answer_once
from offload.api.problems.request_errors import InvalidParameters
from offload.api.state import State
from offload.client import Enqueued, Request
from offload.domain import views
from offload.domain.errors import FieldError, InvalidArguments, JobNotKept, NotFound, Unavailable
from offload.domain.functions import EnqueueOptions
from offload.domain.idempotency import Mark
from offload.domain.records import JobRecord
from offload.domain.tracing import traceparent as valid_traceparent

ACCEPTED, EXISTS = 202, 200


class _EnqueueRequest:
    """One call that enqueues a job: 202 and its document; 200 if it has ended, or existed already."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._given: State = scope["app"].state.offload
        self._scope = scope
        self._receive = receive
        self._name: str = scope["path_params"]["name"]
        self._headers = asgi.headers_of(scope)
        self._body = b""
        self._wait = 0.0
        self._applied: int | None = None

    async def answer(self) -> Answer:
        """Enqueue the job, only once for an idempotency key, and answer with it."""
        self._body = await asgi.body_of(self._receive)
        key = self._headers.get(HEADER)
        if key is None:
            return await self._enqueue(None)
        return await answer_once(self._given, self._scope, key, self._body, self._enqueue, self._replay)

    async def _enqueue(self, mark: Mark | None) -> Answer:
        client = self._given.client
        job_options = self._options()
        checked = client.check(Request(self._name, self._arguments(), job_options), is_json=True)
        stored = await self._given.promptly(
            client.enqueue_checked(checked, mark), client.longest_confirmation, "writes"
        )
        if stored.is_new:
            record = await self._awaited(stored.record)
            return self._answer(record, EXISTS if record.status.is_terminal else ACCEPTED)
        return self._answer(await self._awaited(await _existing(self._given, stored)), EXISTS)

    async def _replay(self, ids: tuple[str, ...]) -> Answer:
        self._options()
        [record] = await _enqueued_before(self._given, ids)
        return self._answer(await self._awaited(record), EXISTS)

    def _options(self) -> EnqueueOptions:
        """Parse query and headers; raises InvalidParameters."""
        query = self._scope["query_string"]
        trace = _trace(self._headers)
        if query:
            job_options, self._wait = options.parse(QueryParams(query), trace)
        else:
            job_options, self._wait = options.NONE if trace is None else EnqueueOptions(traceparent=trace), 0
        if not self._wait and (prefer := self._headers.get(b"prefer")) is not None:
            self._applied = waiting.preferred(prefer)
            self._wait = self._applied or 0
        return job_options

    def _arguments(self) -> dict[str, object]:
        """Parse the body: one JSON object, or empty for no arguments."""
        given = asgi.json_of(self._body, self._headers) if self._body else {}
        if not isinstance(given, dict):
            fault = FieldError("", "the arguments must be a JSON object", "object_type")
            self._given.inspector.catalogue.function(self._name)
            raise InvalidArguments(self._name, [fault])
        return given

    async def _awaited(self, record: JobRecord) -> JobRecord:
        """Return the job when it has ended, or as it is when the time is up or Redis unavailable: it is stored."""
        if not self._wait or record.status.is_terminal:
            return record
        ended = self._given.promptly(self._given.inspector.wait(record.id, self._wait), self._wait)
        try:
            return await waiting.while_connected(self._receive, ended)
        except (Unavailable, NotFound):
            return record

    def _answer(self, record: JobRecord, status: int) -> Answer:
        headers = [(b"location", views.location(record.id).encode())]
        if self._applied is not None:
            headers.append((b"preference-applied", b"wait=%d" % self._applied))
        return Answer(status, orjson.dumps(views.job(record)), headers)


class _BatchRequest:
    """One call that enqueues a batch, all or none: 202 and the documents in order; 200 if no job is new."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._given: State = scope["app"].state.offload
        self._scope = scope
        self._receive = receive
        self._headers = asgi.headers_of(scope)
        self._body = b""

    async def answer(self) -> Answer:
        """Enqueue the jobs, only once for an idempotency key, and answer with them."""
        if names := QueryParams(self._scope["query_string"]).keys():
            fault = partial(
                FieldError, message="unknown parameter; options of a batch go with each job", code="unknown_parameter"
            )
            raise InvalidParameters([fault(name) for name in names])
        self._body = await asgi.body_of(self._receive)
        key = self._headers.get(HEADER)
        if key is None:
            return await self._enqueue(None)
        return await answer_once(self._given, self._scope, key, self._body, self._enqueue, self._replay)

    async def _enqueue(self, mark: Mark | None) -> Answer:
        client = self._given.client
        checked = batch.read(client, asgi.json_of(self._body, self._headers), _trace(self._headers))
        stored = await self._given.promptly(client.enqueue_all(checked, mark), client.longest_confirmation, "writes")
        old_ids = [job.id for job in stored if not job.is_new]
        old = await self._given.promptly(self._given.inspector.get_many(old_ids)) if old_ids else []
        existing = {record.id: record for record in old}
        is_any_new = len(old_ids) < len(stored) or not stored
        return _answer_batch([existing.get(job.id) or job.record for job in stored], ACCEPTED if is_any_new else EXISTS)

    async def _replay(self, ids: tuple[str, ...]) -> Answer:
        return _answer_batch(await _enqueued_before(self._given, ids), EXISTS)


async def _enqueue_job(scope: Scope, receive: Receive, send: Send) -> None:
    answer = await _EnqueueRequest(scope, receive).answer()
    await answer.send(send)


async def _enqueue_batch(scope: Scope, receive: Receive, send: Send) -> None:
    answer = await _BatchRequest(scope, receive).answer()
    await answer.send(send)


fast_routes = [
    FastRoute("POST", "/v1/functions/{name}/jobs", _enqueue_job),
    FastRoute("POST", "/v1/jobs", _enqueue_batch),
]
"""`openapi` describes them, the first as one typed operation for each function."""


def _trace(headers: Headers) -> str | None:
    header = headers.get(b"traceparent")
    return None if header is None else valid_traceparent(header.decode("latin-1"))


async def _existing(given: State, stored: Enqueued) -> JobRecord:
    """Return the existing job of a unique key; the new one's record if the existing job is gone by now."""
    try:
        return await given.promptly(given.inspector.get(stored.id))
    except NotFound:
        return stored.record


async def _enqueued_before(given: State, ids: Sequence[str]) -> Sequence[JobRecord]:
    """Return the jobs that a request enqueued before; raises JobNotKept if one is forgotten."""
    if len(ids) == 1:
        try:
            return [await given.promptly(given.inspector.get(ids[0]))]
        except NotFound:
            raise JobNotKept(f"this request enqueued job {ids[0]}, which has been deleted since") from None
    records = await given.promptly(given.inspector.get_many(ids))
    if len(records) < len(ids):
        msg = f"this request enqueued {len(ids)} jobs, of which {len(ids) - len(records)} have been deleted since"
        raise JobNotKept(msg)
    return records


def _answer_batch(records: Sequence[JobRecord], status: int) -> Answer:
    items = [views.summary(record) for record in records]
    return Answer(status, orjson.dumps({"items": items, "next": None}), [])
