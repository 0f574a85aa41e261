"""`OffloadSync`: performs the plans of calls by blocking on httpx."""

import time
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Concatenate, ParamSpec, Self, TypeVar, assert_never

import httpx

from offload.sdk import transport
from offload.sdk.calls import Calls
from offload.sdk.effects import Effect, Emit, Lost, Open, Pause, Plan, Read, Reply, Send, Stream
from offload.sdk.retrying import RetryPolicy

P = ParamSpec("P")
T = TypeVar("T")


def _call(plan: Callable[Concatenate[Calls, P], Plan[T]]) -> "Callable[Concatenate[OffloadSync, P], T]":
    """Turn a plan into a method that returns its answer."""

    @wraps(plan)
    def method(self: "OffloadSync", /, *args: P.args, **options: P.kwargs) -> T:
        effects, answer, handler = plan(self._calls, *args, **options), None, self._handler()
        try:
            while True:
                answer = handler.perform(effects.send(answer))
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            handler.close()

    return method


def _stream(
    plan: Callable[Concatenate[Calls, P], Stream[T]],
) -> "Callable[Concatenate[OffloadSync, P], Generator[T, None, None]]":
    """Turn a stream of items into a method to iterate over."""

    @wraps(plan)
    def method(self: "OffloadSync", /, *args: P.args, **options: P.kwargs) -> Generator[T, None, None]:
        effects, answer, handler = plan(self._calls, *args, **options), None, self._handler()
        try:
            while (effect := _next(effects, answer)) is not None:
                answer = None
                if isinstance(effect, Emit):
                    yield effect.item
                else:
                    answer = handler.perform(effect)
        finally:
            handler.close()

    return method


class OffloadSync:
    """A client of an Offload service for programs without an event loop: the calls of `Offload`, blocking.

    Share one object among threads: it keeps connections open.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 5,
        http: httpx.Client | None = None,
    ) -> None:
        self._endpoint = transport.Endpoint(base_url, api_key, timeout)
        self._calls = Calls(RetryPolicy(retries))
        self._owns_http = http is None
        self._http = httpx.Client(**transport.client_options()) if http is None else http

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; your own `http` client stays open."""
        if self._owns_http:
            self._http.close()

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

    def __init__(self, http: httpx.Client, endpoint: transport.Endpoint) -> None:
        self._http = http
        self._endpoint = endpoint
        self._open: httpx.Response | None = None
        self._chunks: Iterator[bytes] | None = None

    def perform(self, effect: Effect) -> Reply | Lost | bytes | None:
        """Perform an effect and return its answer; a failure of the network is an answer too."""
        try:
            match effect:
                case Send(request):
                    response = self._http.send(self._endpoint.build(self._http, request))
                    return transport.read_reply(response, response.content)
                case Open(request):
                    self.close()
                    self._open = self._http.send(self._endpoint.build(self._http, request, is_stream=True), stream=True)
                    if self._open.status_code != httpx.codes.OK:
                        return transport.read_reply(self._open, self._open.read())
                    self._chunks = self._open.iter_bytes()
                    return transport.read_reply(self._open)
                case Read():
                    return None if self._chunks is None else next(self._chunks, None)
                case Pause(seconds):
                    time.sleep(seconds)
                    return None
                case _:
                    assert_never(effect)
        except transport.FAILURES as error:
            return transport.read_failure(error)

    def close(self) -> None:
        """Close the open answer, if there is one."""
        response, self._open, self._chunks = self._open, None, None
        if response is not None:
            response.close()


def _next(effects: Stream[T], answer: Reply | Lost | bytes | None) -> Effect | Emit[T] | None:
    """Return the next effect or item of a stream; None at its end."""
    try:
        return effects.send(answer)
    except StopIteration:
        return None
