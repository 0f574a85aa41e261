"""`Offload`: performs the plans of calls by awaiting httpx."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, assert_never

import httpx

from offload.sdk import transport
from offload.sdk.calls import Calls
from offload.sdk.effects import Effect, Emit, Lost, Open, Pause, Plan, Read, Reply, Send, Stream
from offload.sdk.retrying import RetryPolicy

P = ParamSpec("P")
T = TypeVar("T")


def _call(
    plan: Callable[Concatenate[Calls, P], Plan[T]],
) -> "Callable[Concatenate[Offload, P], Coroutine[Any, Any, T]]":
    """Turn a plan into a method to await."""

    @wraps(plan)
    async def method(self: "Offload", /, *args: P.args, **options: P.kwargs) -> T:
        effects, answer, handler = plan(self._calls, *args, **options), None, self._handler()
        try:
            while True:
                answer = await handler.perform(effects.send(answer))
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            await handler.close()

    return method


def _stream(
    plan: Callable[Concatenate[Calls, P], Stream[T]],
) -> "Callable[Concatenate[Offload, P], AsyncGenerator[T, None]]":
    """Turn a stream of items into a method to iterate over."""

    @wraps(plan)
    async def method(self: "Offload", /, *args: P.args, **options: P.kwargs) -> AsyncGenerator[T, None]:
        effects, answer, handler = plan(self._calls, *args, **options), None, self._handler()
        try:
            while (effect := _next(effects, answer)) is not None:
                answer = None
                if isinstance(effect, Emit):
                    yield effect.item
                else:
                    answer = await handler.perform(effect)
        finally:
            await handler.close()

    return method


class Offload:
    """A client of an Offload service for programs with an event loop; `OffloadSync` is the same for others.

    `api_key` is sent as it is: nothing is read from the environment. `timeout` is the time for an answer in seconds, in
    addition to the `wait` of a call. `retries` is the maximum number of repetitions of a call when the service cannot
    be reached, or asks to be called later. `http` is your own client, for proxies or certificates; you close it
    yourself. Every call raises OffloadAPIError or one of its children.

    Share one object among the tasks of an event loop: it keeps connections open.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 5,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._endpoint = transport.Endpoint(base_url, api_key, timeout)
        self._calls = Calls(RetryPolicy(retries))
        self._owns_http = http is None
        self._http = httpx.AsyncClient(**transport.client_options()) if http is None else http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; your own `http` client stays open."""
        if self._owns_http:
            await self._http.aclose()

    def _handler(self) -> "_EffectHandler":
        return _EffectHandler(self._http, self._endpoint)

    enqueue = _call(Calls.enqueue)
    enqueue_many = _call(Calls.enqueue_many)
    get = _call(Calls.get)
    wait = _call(Calls.wait)
    result = _call(Calls.result)
    events = _stream(Calls.events)
    explain = _call(Calls.explain)
    abort = _call(Calls.abort)
    retry = _call(Calls.retry)
    forget = _call(Calls.forget)
    artifact = _call(Calls.artifact)

    list = _stream(Calls.list)
    abort_all = _call(Calls.abort_all)
    retry_all = _call(Calls.retry_all)

    functions = _call(Calls.functions)
    function = _call(Calls.function)
    move_function = _call(Calls.move_function)
    queues = _call(Calls.queues)
    queue = _call(Calls.queue)
    pause_queue = _call(Calls.pause_queue)
    resume_queue = _call(Calls.resume_queue)
    schedules = _call(Calls.schedules)
    schedule = _call(Calls.schedule)
    pause_schedule = _call(Calls.pause_schedule)
    resume_schedule = _call(Calls.resume_schedule)
    run_schedule = _call(Calls.run_schedule)
    workers = _call(Calls.workers)
    stats = _call(Calls.stats)
    feed = _stream(Calls.feed)
    audit = _stream(Calls.audit)
    stalls = _stream(Calls.stalls)
    ongoing_stalls = _call(Calls.ongoing_stalls)
    stall_groups = _stream(Calls.stall_groups)
    clear_stalls = _call(Calls.clear_stalls)


class _EffectHandler:
    """Performs the effects of one plan; holds the answer that the plan keeps open."""

    def __init__(self, http: httpx.AsyncClient, endpoint: transport.Endpoint) -> None:
        self._http = http
        self._endpoint = endpoint
        self._open: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def perform(self, effect: Effect) -> Reply | Lost | bytes | None:
        """Perform an effect and return its answer; a failure of the network is an answer too."""
        try:
            match effect:
                case Send(request):
                    response = await self._http.send(self._endpoint.build(self._http, request))
                    return transport.read_reply(response, response.content)
                case Open(request):
                    await self.close()
                    self._open = await self._http.send(
                        self._endpoint.build(self._http, request, is_stream=True), stream=True
                    )
                    if self._open.status_code != httpx.codes.OK:
                        return transport.read_reply(self._open, await self._open.aread())
                    self._chunks = self._open.aiter_bytes()
                    return transport.read_reply(self._open)
                case Read():
                    return None if self._chunks is None else await anext(self._chunks, None)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                    return None
                case _:
                    assert_never(effect)
        except transport.FAILURES as error:
            return transport.read_failure(error)

    async def close(self) -> None:
        """Close the open answer, if there is one."""
        response, self._open, self._chunks = self._open, None, None
        if response is not None:
            await response.aclose()


def _next(effects: Stream[T], answer: Reply | Lost | bytes | None) -> Effect | Emit[T] | None:
    """Return the next effect or item of a stream; None at its end."""
    try:
        return effects.send(answer)
    except StopIteration:
        return None
