"""Enqueueing over HTTP: one job by the typed call of its function, or a batch of any functions in one step."""

from collections.abc import Sequence
from functools import partial

import orjson
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from offload.api import asgi, batch, documents, options, waiting
from offload.api.asgi import Answer, Headers
from offload.api.fast_path import FastRoute
from offload.api.idempotency import HEADER, answer_once
from offload.api.problems.request_errors import InvalidParameters
from offload.api.state import State
from offload.client import Enqueued, Request
from offload.domain.errors import FieldError, InvalidArguments, JobNotKept, NotFound, Unavailable
from offload.domain.functions import EnqueueOptions
from offload.domain.idempotency import Mark
from offload.domain.records import JobRecord
from offload.domain.tracing import traceparent as valid_traceparent

ACCEPTED, STANDS = 202, 200


class _EnqueueRequest:
    """One request for one job: 202 and its document, 200 where it has ended, or where there was one already."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._given: State = scope["app"].state.offload
        self._scope = scope
        self._receive = receive
        self._name: str = scope["path_params"]["name"]
        self._sent = asgi.headers_of(scope)
        self._body = b""
        self._wait = 0.0
        self._applied: int | None = None

    async def answer(self) -> Answer:
        """Put the job in, once where a key says so, and answer with it."""
        self._body = await asgi.body_of(self._receive)
        key = self._sent.get(HEADER)
        if key is None:
            return await self._put(None)
        return await answer_once(self._given, self._scope, key, self._body, self._put, self._again)

    async def _put(self, mark: Mark | None) -> Answer:
        client = self._given.client
        wanted = self._options()
        checked = client.check(Request(self._name, self._arguments(), wanted), is_json=True)
        stored = await self._given.promptly(client.put(checked, mark), client.longest_confirmation, "writes")
        if stored.is_new:
            record = await self._held(stored.record)
            return self._answer(record, STANDS if record.status.is_terminal else ACCEPTED)
        return self._answer(await self._held(await _found(self._given, stored)), STANDS)

    async def _again(self, ids: tuple[str, ...]) -> Answer:
        self._options()
        [record] = await _kept(self._given, ids)
        return self._answer(await self._held(record), STANDS)

    def _options(self) -> EnqueueOptions:
        """Read query and headers; raises InvalidParameters."""
        query = self._scope["query_string"]
        trace = _trace(self._sent)
        if query:
            wanted, self._wait = options.parse(QueryParams(query), trace)
        else:
            wanted, self._wait = options.NONE if trace is None else EnqueueOptions(traceparent=trace), 0
        if not self._wait and (prefer := self._sent.get(b"prefer")) is not None:
            self._applied = waiting.preferred(prefer)
            self._wait = self._applied or 0
        return wanted

    def _arguments(self) -> dict[str, object]:
        """Read the body: one JSON object, or nothing at all where no argument is given."""
        given = asgi.json_of(self._body, self._sent) if self._body else {}
        if not isinstance(given, dict):
            fault = FieldError("", "the arguments must be one JSON object", "object_type")
            self._given.inspector.catalogue.function(self._name)
            raise InvalidArguments(self._name, [fault])
        return given

    async def _held(self, record: JobRecord) -> JobRecord:
        """Return the job when it has ended, or as it stands when the time is up or Redis is gone: it is stored."""
        if not self._wait or record.status.is_terminal:
            return record
        ended = self._given.promptly(self._given.inspector.wait(record.id, self._wait), self._wait)
        try:
            return await waiting.while_connected(self._receive, ended)
        except (Unavailable, NotFound):
            return record

    def _answer(self, record: JobRecord, status: int) -> Answer:
        headers = [(b"location", documents.location(record.id).encode())]
        if self._applied is not None:
            headers.append((b"preference-applied", b"wait=%d" % self._applied))
        return Answer(status, orjson.dumps(documents.job(record)), headers)


class _BatchRequest:
    """One request for many jobs, all or none: 202 and their documents in order, 200 where none is new."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._given: State = scope["app"].state.offload
        self._scope = scope
        self._receive = receive
        self._sent = asgi.headers_of(scope)
        self._body = b""

    async def answer(self) -> Answer:
        """Put the jobs in, once where a key says so, and answer with them."""
        if names := QueryParams(self._scope["query_string"]).keys():
            fault = partial(FieldError, message="a batch has its options with each job", code="unknown_parameter")
            raise InvalidParameters([fault(name) for name in names])
        self._body = await asgi.body_of(self._receive)
        key = self._sent.get(HEADER)
        if key is None:
            return await self._put(None)
        return await answer_once(self._given, self._scope, key, self._body, self._put, self._again)

    async def _put(self, mark: Mark | None) -> Answer:
        client = self._given.client
        checked = batch.read(client, asgi.json_of(self._body, self._sent), _trace(self._sent))
        stored = await self._given.promptly(client.put_all(checked, mark), client.longest_confirmation, "writes")
        held = [one.id for one in stored if not one.is_new]
        found = (
            {one.id: one for one in await self._given.promptly(self._given.inspector.get_many(held))} if held else {}
        )
        is_any_new = len(held) < len(stored) or not stored
        return _answer_many([found.get(one.id) or one.record for one in stored], ACCEPTED if is_any_new else STANDS)

    async def _again(self, ids: tuple[str, ...]) -> Answer:
        return _answer_many(await _kept(self._given, ids), STANDS)


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


def _trace(sent: Headers) -> str | None:
    given = sent.get(b"traceparent")
    return None if given is None else valid_traceparent(given.decode("latin-1"))


async def _found(given: State, stored: Enqueued) -> JobRecord:
    """Return the job that stood in the way of a new one; what was asked for, where it is gone by now."""
    try:
        return await given.promptly(given.inspector.get(stored.id))
    except NotFound:
        return stored.record


async def _kept(given: State, ids: Sequence[str]) -> Sequence[JobRecord]:
    """Return the jobs that a request put in before; raises JobNotKept where one is forgotten."""
    if len(ids) == 1:
        try:
            return [await given.promptly(given.inspector.get(ids[0]))]
        except NotFound:
            raise JobNotKept(f"this request put in job {ids[0]}, which is no longer kept") from None
    found = await given.promptly(given.inspector.get_many(ids))
    if len(found) < len(ids):
        msg = f"this request put in {len(ids)} jobs, of which {len(ids) - len(found)} are no longer kept"
        raise JobNotKept(msg)
    return found


def _answer_many(records: Sequence[JobRecord], status: int) -> Answer:
    items = [documents.summary(record) for record in records]
    return Answer(status, orjson.dumps({"items": items, "next": None}), [])
