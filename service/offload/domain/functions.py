"""Job functions as values: name, place, signature, retry policy; and the options of one enqueue."""

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from offload.documents.functions import MovableTo, OverBudget, RunsIn
from offload.domain.arguments import Arguments, ResultType
from offload.domain.callbacks import check_callback_url
from offload.domain.errors import InvalidDefinition, InvalidOptions
from offload.domain.policy import Backoff, RetryPolicy
from offload.domain.queues import DEFAULT_QUEUE, check_queue_name

_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$")
HIGHEST_PRIORITY = 9
LONGEST_UNIQUE_KEY = 200
LONGEST_UNIQUE_S = 10 * 31_536_000
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class JobFunction(Generic[P, R]):
    """A job function and its options; calling it calls the function it wraps, as in a unit test.

    `timeout`, `keep_result` in seconds; None takes the worker's setting, as it does for `max_tries` and
    `loop_budget_ms`.
    """

    fn: Callable[..., Any]
    name: str
    runs_in: RunsIn
    arguments: Arguments
    result_type: ResultType
    queue: str = DEFAULT_QUEUE
    timeout: float | None = None
    keep_result: float | None = None
    max_tries: int | None = None
    backoff: Backoff = field(default_factory=Backoff)
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()
    description: str = ""
    is_plain: bool = False
    loop_budget_ms: float | None = None
    over_budget: OverBudget = "warn"
    held_after: float | None = None  # arq's cron: seconds for which an ended tick's id stays taken

    def __post_init__(self) -> None:
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            object.__setattr__(self, name, getattr(self.fn, name))
        object.__setattr__(self, "__wrapped__", self.fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self.fn(*args, **kwargs)

    def retry_policy(self, default_max_tries: int, override: int | None = None) -> RetryPolicy:
        """Return the retry policy of one job: its own `max_tries`, else the function's, else the worker's."""
        tries = override or self.max_tries or default_max_tries
        return RetryPolicy(tries, self.backoff, self.retry_on, self.give_up_on)

    @property
    def import_path(self) -> tuple[str, str]:
        """Where a child process finds this function: `(module, qualified name)`."""
        return self.fn.__module__, self.fn.__qualname__


@overload
def job(fn: Callable[Concatenate[Any, P], R], /) -> JobFunction[P, R]: ...
@overload
def job(
    *,
    name: str | None = ...,
    queue: str = ...,
    runs_in: MovableTo | None = ...,
    timeout: float | None = ...,
    max_tries: int | None = ...,
    keep_result: float | None = ...,
    backoff: Backoff | None = ...,
    retry_on: Sequence[type[BaseException]] | None = ...,
    give_up_on: Sequence[type[BaseException]] = ...,
    loop_budget_ms: float | None = ...,
    over_budget: OverBudget = ...,
) -> Callable[[Callable[Concatenate[Any, P], R]], JobFunction[P, R]]: ...
def job(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a job function; its first parameter is the `JobContext`, the rest is its typed signature.

    `async def` runs on the worker's event loop, `def` in a thread, `def` with `runs_in="process"` in a process.
    Any exception is retried with exponential backoff and full jitter until `max_tries`; `retry_on` and `give_up_on`
    narrow that. One step of an `async def` that holds the event loop for longer than `loop_budget_ms` is logged and
    counted; with `over_budget="fail"` the attempt ends with LoopBudgetExceeded.

    Raises InvalidDefinition if the declaration cannot work, at import.
    """
    if fn is None:
        return lambda decorated: define(decorated, **options)
    return define(fn)


def define(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    runs_in: MovableTo | None = None,
    timeout: float | None = None,
    max_tries: int | None = None,
    keep_result: float | None = None,
    backoff: Backoff | None = None,
    retry_on: Sequence[type[BaseException]] | None = None,
    give_up_on: Sequence[type[BaseException]] = (),
    loop_budget_ms: float | None = None,
    over_budget: OverBudget = "warn",
) -> JobFunction[Any, Any]:
    """Make a JobFunction of a function; `job` is the decorator for it."""
    if not inspect.isfunction(fn):
        msg = f"@job is for functions, not for {fn!r}"
        raise InvalidDefinition(msg)
    name = name or f"{fn.__module__.rsplit('.', 1)[-1]}.{fn.__name__}"
    if not _NAME.match(name):
        msg = (
            f"{name!r} is not a valid job function name: use up to 100 letters, digits and _ . : - (it is part of URLs)"
        )
        raise InvalidDefinition(msg)
    check_queue_name(queue)
    _check_positive(name, timeout=timeout, max_tries=max_tries)
    _check_budget(name, fn, loop_budget_ms, over_budget)
    if keep_result is not None and keep_result < 0:
        msg = f"{name}: keep_result={keep_result} must not be negative"
        raise InvalidDefinition(msg)
    return JobFunction(
        fn=fn,
        name=name,
        runs_in=_place(name, fn, runs_in),
        arguments=Arguments.from_signature(name, fn),
        result_type=ResultType.from_annotation(fn),
        queue=queue,
        timeout=timeout,
        keep_result=keep_result,
        max_tries=max_tries,
        backoff=backoff or Backoff(),
        retry_on=tuple(retry_on) if retry_on is not None else (Exception,),
        give_up_on=tuple(give_up_on),
        description=inspect.getdoc(fn) or "",
        loop_budget_ms=loop_budget_ms,
        over_budget=over_budget,
    )


def plain_function(
    name: str,
    coroutine: Callable[..., Coroutine[Any, Any, Any]],
    *,
    timeout: float | None = None,
    keep_result: float | None = None,
    max_tries: int | None = None,
    held_after: float | None = None,
) -> JobFunction[Any, Any]:
    """Make a JobFunction of a plain arq function: context is a dict, arguments are untyped, no exception is retried."""
    return JobFunction(
        fn=coroutine,
        name=name,
        runs_in="loop",
        arguments=Arguments.untyped(name),
        result_type=ResultType.untyped(),
        timeout=timeout,
        keep_result=keep_result,
        max_tries=max_tries,
        retry_on=(),
        description=inspect.getdoc(coroutine) or "",
        is_plain=True,
        held_after=held_after,
    )


def _place(name: str, fn: Callable[..., Any], runs_in: str | None) -> RunsIn:
    if runs_in not in (None, "thread", "process"):
        msg = f"{name}: runs_in={runs_in!r} is not known; use 'thread' or 'process', or leave it out"
        raise InvalidDefinition(msg)
    if inspect.iscoroutinefunction(fn):
        if runs_in is not None:
            msg = (
                f"{name} is async def and runs on the event loop, so runs_in={runs_in!r} is impossible: make it def, "
                f"or keep async def and run the blocking step with `await ctx.to_{runs_in}(f, ...)`"
            )
            raise InvalidDefinition(msg)
        return "loop"
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        msg = f"{name} is a generator; a job function returns its result"
        raise InvalidDefinition(msg)
    if runs_in == "process" and "<locals>" in fn.__qualname__:
        msg = f"{name} runs in a process: define it at the top of its module, where a child process can import it"
        raise InvalidDefinition(msg)
    return "process" if runs_in == "process" else "thread"


def _check_budget(name: str, fn: Callable[..., Any], loop_budget_ms: float | None, over_budget: str) -> None:
    _check_positive(name, loop_budget_ms=loop_budget_ms)
    if loop_budget_ms is not None and not inspect.iscoroutinefunction(fn):
        msg = f"{name} is not async def, so it does not run on the event loop: drop loop_budget_ms={loop_budget_ms}"
        raise InvalidDefinition(msg)
    if over_budget not in ("warn", "fail"):
        msg = f"{name}: over_budget={over_budget!r} is not known; use 'warn' or 'fail'"
        raise InvalidDefinition(msg)
    if over_budget == "fail" and loop_budget_ms is None:
        msg = f"{name}: over_budget='fail' needs loop_budget_ms, the milliseconds that one step may take"
        raise InvalidDefinition(msg)


def _check_positive(name: str, **values: float | None) -> None:
    for option, value in values.items():
        if value is not None and value <= 0:
            msg = f"{name}: {option}={value} must be more than 0"
            raise InvalidDefinition(msg)


@dataclass(frozen=True, slots=True)
class EnqueueOptions:
    """Options of one job, besides its arguments; None takes the value of the function or of the worker.

    `delay`, `timeout`, `keep_result`, `unique_for` in seconds; `run_at_ms`, `deadline_ms` in ms since the epoch. A job
    that has not finished by its deadline is dead. Of the due jobs of a queue those of a higher `priority`, 0 to 9,
    start first. While a job with the same `unique_key` has not ended, or `unique_for` seconds from its enqueue have not
    passed, no other job of its function is enqueued; `unique_for` alone uses the arguments as the key. `callback_url`
    gets a webhook when the job ends.
    """

    job_id: str | None = None
    queue: str | None = None
    delay: float | None = None
    run_at_ms: int | None = None
    deadline_ms: int | None = None
    max_tries: int | None = None
    timeout: float | None = None
    keep_result: float | None = None
    tags: tuple[str, ...] = ()
    traceparent: str | None = None
    parent: str | None = None
    priority: int = 0
    unique_key: str | None = None
    unique_for: float | None = None
    callback_url: str | None = None

    def __post_init__(self) -> None:
        if fault := self._wrong_time() or self._wrong_number() or self._wrong_text():
            raise InvalidOptions(fault)

    def _wrong_time(self) -> str | None:
        if self.delay is not None and self.run_at_ms is not None:
            return "use either delay or run_at, not both"
        if self.delay is not None and self.delay < 0:
            return f"delay={self.delay} must not be negative"
        if self.run_at_ms is not None and self.run_at_ms < 0:
            return f"run_at_ms={self.run_at_ms} must not be before 1970"
        if self.unique_for is not None and not 0 < self.unique_for <= LONGEST_UNIQUE_S:
            return f"unique_for={self.unique_for} must be more than 0 seconds, and at most ten years"
        return None

    def _wrong_number(self) -> str | None:
        if not 0 <= self.priority <= HIGHEST_PRIORITY:
            return f"priority={self.priority} must be from 0 to {HIGHEST_PRIORITY}, the first to run"
        if self.max_tries is not None and not 1 <= self.max_tries <= 1000:
            return f"max_tries={self.max_tries} must be from 1 to 1000"
        if self.timeout is not None and self.timeout <= 0:
            return f"timeout={self.timeout} must be more than 0 seconds"
        if self.keep_result is not None and self.keep_result < 0:
            return f"keep_result={self.keep_result} must not be negative"
        return None

    def _wrong_text(self) -> str | None:
        if self.unique_key is not None and not 1 <= len(self.unique_key) <= LONGEST_UNIQUE_KEY:
            return f"unique_key has {len(self.unique_key)} characters; it must have from 1 to {LONGEST_UNIQUE_KEY}"
        try:
            if self.queue is not None:
                check_queue_name(self.queue)
            if self.callback_url is not None:
                check_callback_url(self.callback_url)
        except InvalidDefinition as error:
            return str(error)
        except ValueError as error:
            return f"callback_url {error}"
        return None

    def due_ms(self, now_ms: int) -> int:
        """Return when the job may start."""
        if self.run_at_ms is not None:
            return self.run_at_ms
        return now_ms + round((self.delay or 0) * 1000)


NO_OPTIONS = EnqueueOptions()
"""The options of most calls: comparing with this one object is cheaper than looking at each option."""

Functions = Mapping[str, JobFunction[Any, Any]]
