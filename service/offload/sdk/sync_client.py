"""`OffloadSync`: carries out the plans of calls by blocking on httpx."""

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
    """Make a plan a method that returns its answer."""

    @wraps(plan)
    def method(self: "OffloadSync", /, *args: P.args, **options: P.kwargs) -> T:
        asked, answer, outside = plan(self._calls, *args, **options), None, self._outside()
        try:
            while True:
                answer = outside.do(asked.send(answer))
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            outside.close()

    return method


def _stream(
    plan: Callable[Concatenate[Calls, P], Stream[T]],
) -> "Callable[Concatenate[OffloadSync, P], Generator[T, None, None]]":
    """Make a plan a method whose answer is iterated over."""

    @wraps(plan)
    def method(self: "OffloadSync", /, *args: P.args, **options: P.kwargs) -> Generator[T, None, None]:
        asked, answer, outside = plan(self._calls, *args, **options), None, self._outside()
        try:
            while (effect := _next(asked, answer)) is not None:
                answer = None
                if isinstance(effect, Emit):
                    yield effect.item
                else:
                    answer = outside.do(effect)
        finally:
            outside.close()

    return method


class OffloadSync:
    """An Offload service, for a program without an event loop; the same calls as `Offload` has, blocking.

    One object may be used by many threads, and should be: it keeps connections.
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
        self._line = transport.Line(base_url, api_key, timeout)
        self._calls = Calls(RetryPolicy(retries))
        self._is_mine = http is None
        self._http = httpx.Client(**transport.settings()) if http is None else http

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections; a client of your own stays open."""
        if self._is_mine:
            self._http.close()

    def _outside(self) -> "_Outside":
        return _Outside(self._http, self._line)

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


class _Outside:
    """Does what one plan asks for; holds the answer that the plan keeps open."""

    def __init__(self, http: httpx.Client, line: transport.Line) -> None:
        self._http = http
        self._line = line
        self._open: httpx.Response | None = None
        self._chunks: Iterator[bytes] | None = None

    def do(self, effect: Effect) -> Reply | Lost | bytes | None:
        """Carry out an effect; a failure of the network is an answer as well."""
        try:
            match effect:
                case Send(request):
                    response = self._http.send(self._line.write(self._http, request))
                    return transport.reply(response, response.content)
                case Open(request):
                    self.close()
                    self._open = self._http.send(self._line.write(self._http, request, is_stream=True), stream=True)
                    if self._open.status_code != httpx.codes.OK:
                        return transport.reply(self._open, self._open.read())
                    self._chunks = self._open.iter_bytes()
                    return transport.reply(self._open)
                case Read():
                    return None if self._chunks is None else next(self._chunks, None)
                case Pause(seconds):
                    time.sleep(seconds)
                    return None
                case _:
                    assert_never(effect)
        except transport.FAILURES as error:
            return transport.lost(error)

    def close(self) -> None:
        """Close what is open."""
        response, self._open, self._chunks = self._open, None, None
        if response is not None:
            response.close()


def _next(asked: Stream[T], answer: Reply | Lost | bytes | None) -> Effect | Emit[T] | None:
    """Return what a stream asks for next; None at its end."""
    try:
        return asked.send(answer)
    except StopIteration:
        return None
