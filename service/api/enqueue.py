"""Putting jobs in over HTTP: one by the typed call of its function, or many of any functions in one step.

Both are ASGI applications of their own: FastAPI's way to a handler costs as much as all that is done here. One route
serves all functions; `openapi` documents it as one typed operation for each.
"""

from collections.abc import Sequence
from functools import partial

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.api import batch, documents, incoming, options, scopes, waiting
from service.api.incoming import Headers
from service.api.once import HEADER, once
from service.api.refusals import InvalidParameters
from service.api.state import State
from service.client import Enqueued, Request
from service.domain.apikeys import ANONYMOUS
from service.domain.errors import FieldError, InvalidArguments, JobNotKept, NotFound, Unavailable
from service.domain.functions import EnqueueOptions
from service.domain.idempotency import Mark
from service.domain.records import JobRecord
from service.domain.tracing import traceparent as valid_traceparent

ACCEPTED, STANDS = 202, 200
ONE, MANY = "/v1/functions/{name}/jobs", "/v1/jobs"


class _One:
    """One request for one job: 202 and its document, 200 where it has ended, or where there was one already."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._given: State = scope["app"].state.offload
        self._scope = scope
        self._receive = receive
        self._name: str = scope["path_params"]["name"]
        self._sent = incoming.headers_of(scope)
        self._body = b""
        self._wait = 0.0
        self._applied: int | None = None

    async def answer(self) -> Response:
        """Put the job in, once where a key says so, and answer with it."""
        self._body = await incoming.body_of(self._receive)
        key = self._sent.get(HEADER)
        if key is None:
            return await self._put(None)
        return await once(self._given, self._scope, key, self._body, self._put, self._again)

    async def _put(self, mark: Mark | None) -> Response:
        client = self._given.client
        wanted = self._options()
        checked = client.check(Request(self._name, self._arguments(), wanted), is_json=True)
        stored = await self._given.promptly(client.put(checked, mark), client.longest_confirmation, "writes")
        if stored.is_new:
            record = await self._held(stored.record)
            return self._answer(record, STANDS if record.status.is_terminal else ACCEPTED)
        return self._answer(await self._held(await _found(self._given, stored)), STANDS)

    async def _again(self, ids: tuple[str, ...]) -> Response:
        self._options()
        [record] = await _kept(self._given, ids)
        return self._answer(await self._held(record), STANDS)

    def _options(self) -> EnqueueOptions:
        """Read query and headers; raises InvalidParameters."""
        query = self._scope["query_string"]
        trace = _trace(self._sent)
        wanted, self._wait = options.parse(QueryParams(query), trace)
        if not self._wait and (prefer := self._sent.get(b"prefer")) is not None:
            self._applied = waiting.preferred(prefer)
            self._wait = self._applied or 0
        return wanted

    def _arguments(self) -> dict[str, object]:
        """Read the body: one JSON object, or nothing at all where no argument is given."""
        given = incoming.json_of(self._body, self._sent) if self._body else {}
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

    def _answer(self, record: JobRecord, status: int) -> Response:
        headers = {"Location": documents.location(record.id)}
        if self._applied is not None:
            headers["Preference-Applied"] = f"wait={self._applied}"
        return documents.answer(documents.job(record), status, headers)


class _Many:
    """One request for many jobs, all or none: 202 and their documents in order, 200 where none is new."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._given: State = scope["app"].state.offload
        self._scope = scope
        self._receive = receive
        self._sent = incoming.headers_of(scope)
        self._body = b""

    async def answer(self) -> Response:
        """Put the jobs in, once where a key says so, and answer with them."""
        if names := QueryParams(self._scope["query_string"]).keys():
            fault = partial(FieldError, message="a batch has its options with each job", code="unknown_parameter")
            raise InvalidParameters([fault(name) for name in names])
        self._body = await incoming.body_of(self._receive)
        key = self._sent.get(HEADER)
        if key is None:
            return await self._put(None)
        return await once(self._given, self._scope, key, self._body, self._put, self._again)

    async def _put(self, mark: Mark | None) -> Response:
        client = self._given.client
        checked = batch.read(client, incoming.json_of(self._body, self._sent), _trace(self._sent))
        stored = await self._given.promptly(client.put_all(checked, mark), client.longest_confirmation, "writes")
        held = [one.id for one in stored if not one.is_new]
        found = (
            {one.id: one for one in await self._given.promptly(self._given.inspector.get_many(held))} if held else {}
        )
        is_any_new = len(held) < len(stored) or not stored
        return _answer_many([found.get(one.id) or one.record for one in stored], ACCEPTED if is_any_new else STANDS)

    async def _again(self, ids: tuple[str, ...]) -> Response:
        return _answer_many(await _kept(self._given, ids), STANDS)


class _Endpoint:
    """An ASGI application that makes its answer for each request."""

    def __init__(self, path: str, name: str, handler: type[_One | _Many]) -> None:
        self._handler = handler
        self.route = Route(path, self, methods=["POST"], name=name, include_in_schema=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope["route"] = self.route  # for the log and the metrics
        response = await self._handler(scope, receive).answer()
        await response(scope, receive, send)
        state: State = scope["app"].state.offload
        state.metrics.used(scope.get(scopes.KEY, ANONYMOUS).name, self.route.path)


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


def _answer_many(records: Sequence[JobRecord], status: int) -> Response:
    return documents.answer({"items": [documents.summary(record) for record in records], "next": None}, status)


routes = [_Endpoint(ONE, "enqueue", _One).route, _Endpoint(MANY, "enqueue_many", _Many).route]
