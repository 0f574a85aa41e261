"""The step clock: which job or request holds the event loop at this moment, and how long each has held it in all.

A coroutine is driven through a thin wrapper that publishes "this scope has been executing since t0" around each of its
steps: scope and duration are exact, without sampling, on asyncio and uvloop alike. `slot` is written on the loop's
thread and read on the watchdog's; each attribute is replaced as a whole.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, MutableSequence
from contextvars import ContextVar
from time import monotonic_ns
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
NO_BUDGET_NS = 1 << 62


_ACCOUNT_NS = 1_000_000  # a scope's loop time is added to its name's account in lots of this size
_MAX_NAMES = 200
OTHER = "other"


class Scope:
    """The job or request that steps are counted for; `name` is its function or route."""

    __slots__ = (
        "account_at_ns",
        "accounted_ns",
        "budget_ns",
        "id",
        "kind",
        "line",
        "loop_ns",
        "mark",
        "max_step_ns",
        "name",
        "on_over",
        "over",
        "path",
        "steps",
    )

    def __init__(self, kind: str, scope_id: str, name: str, path: str = "", line: int = 0) -> None:
        self.kind = kind
        self.id = scope_id
        self.name = name
        self.path = path
        self.line = line
        self.mark = 0
        self.loop_ns = 0
        self.steps = 0
        self.max_step_ns = 0
        self.budget_ns = NO_BUDGET_NS  # set before the first step
        self.over = 0  # steps over it
        self.on_over: Callable[[SlowStep], None] | None = None
        self.accounted_ns = 0
        self.account_at_ns = _ACCOUNT_NS

    def label(self) -> str:
        """Return the name of the job function or of the route."""
        return self.name


class SlowStep(NamedTuple):
    """A step that took at least its budget, or the time from which stalls are reported."""

    step: int
    scope: Scope
    started_ns: int
    held_ns: int


class Slot:
    """The current step of one loop; `step` counts all steps, so that a sample can be tied to its step.

    `page` gets the mark of the scope and the start of each step. Where it is memory shared with another process, that
    process knows which scope holds the loop even when no thread of this one can run.
    """

    __slots__ = (
        "busy_ns",
        "is_idle",
        "limit_ns",
        "page",
        "sample_of",
        "scope",
        "slow",
        "spent_ns",
        "started_ns",
        "step",
        "wake",
    )

    def __init__(self, limit_ns: int, wake: Callable[[], None]) -> None:
        self.limit_ns = limit_ns
        self.wake = wake
        self.is_idle = False
        self.page: MutableSequence[int] | memoryview = [0, 0]
        self.scope: Scope | None = None
        self.started_ns = 0
        self.step = 0
        self.busy_ns = 0
        self.slow: list[SlowStep] = []
        self.spent_ns: dict[str, int] = {}
        self.sample_of: Callable[[int], Any] = _no_sample

    def overran(self, slow: SlowStep) -> None:
        """Count a step over the budget of its scope, and keep one that is to be reported; on the loop's thread."""
        scope = slow.scope
        if slow.held_ns > scope.budget_ns:
            scope.over += 1
            if scope.on_over is not None:
                scope.on_over(slow)  # first: once it is kept the watchdog may judge it, and drop its samples
        if slow.held_ns >= self.limit_ns:
            self.slow.append(slow)

    def account(self, scope: Scope) -> None:
        """Add a scope's loop time since the last call to the account of its name; beyond 200 names, to `other`."""
        name, spent, taken_ns = scope.label(), self.spent_ns, scope.loop_ns
        if name not in spent:
            name = name if len(spent) < _MAX_NAMES else OTHER
            spent.setdefault(name, 0)
        spent[name] += taken_ns - scope.accounted_ns
        scope.accounted_ns = taken_ns
        scope.account_at_ns = taken_ns + _ACCOUNT_NS


def _no_sample(_step: int) -> None:
    """Return no sample: the watchdog has not been started."""


current: ContextVar[Scope | None] = ContextVar("offload_scope", default=None)


@types.coroutine
def drive(coro: Coroutine[Any, Any, T], scope: Scope, slot: Slot) -> Generator[Any, Any, T]:  # noqa: C901 - no calls
    """Run a coroutine, each of its steps counted for the scope.

    The first step of an eager task is part of the step that starts the task, and is counted with it.
    """
    send, throw, page = coro.send, coro.throw, slot.page
    limit_ns = min(slot.limit_ns, scope.budget_ns)
    value: Any = None
    error: BaseException | None = None
    step = started = 0
    try:
        while True:
            if is_outermost := slot.scope is None:
                if slot.is_idle:
                    slot.wake()
                step = slot.step = slot.step + 1
                slot.scope = scope
                slot.started_ns = started = monotonic_ns()
                page[0], page[1] = scope.mark, started
            try:
                awaited = send(value) if error is None else throw(error)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            finally:
                if is_outermost:
                    held = monotonic_ns() - started
                    slot.scope, slot.started_ns = None, 0
                    slot.busy_ns += held
                    scope.loop_ns += held
                    scope.steps += 1
                    if held > scope.max_step_ns:  # noqa: PLR1730 - max() costs a tenth of the whole
                        scope.max_step_ns = held
                    if held >= limit_ns:
                        slot.overran(SlowStep(step, scope, started, held))
                    if scope.loop_ns >= scope.account_at_ns:
                        slot.account(scope)
            value = error = None
            try:
                value = yield awaited
            except GeneratorExit:
                coro.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - mostly a cancellation: it is thrown into the coroutine
                error = thrown
    finally:
        slot.account(scope)


class _Closed:
    """Closes a coroutine with its wrapper; one cancelled before it began would warn that it was never awaited."""

    __slots__ = ("coro",)

    def __init__(self, coro: Coroutine[Any, Any, Any]) -> None:
        self.coro = coro

    def __del__(self) -> None:
        self.coro.close()


async def drive_child(held: _Closed, scope: Scope, slot: Slot) -> Any:
    """Drive a child task of a scope; a native coroutine, as tasks want them."""
    return await drive(held.coro, scope, slot)


def install(loop: asyncio.AbstractEventLoop, slot: Slot) -> Callable[[], None]:
    """Count the steps of tasks that a scope starts, by a task factory around the present one; return the undo."""
    before = loop.get_task_factory()

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> Any:
        context = more.get("context")
        scope = current.get() if context is None else context.get(current)
        if scope is not None and asyncio.iscoroutine(coro):
            driven: Any = drive_child(_Closed(coro), scope, slot)
            driven.__name__, driven.__qualname__ = getattr(coro, "__name__", ""), getattr(coro, "__qualname__", "")
            coro = driven
        return asyncio.Task(coro, loop=loop, **more) if before is None else before(loop, coro, **more)

    loop.set_task_factory(factory)

    def undo() -> None:
        if loop.get_task_factory() is factory:  # otherwise another factory wraps ours and keeps calling it
            loop.set_task_factory(before)

    return undo
