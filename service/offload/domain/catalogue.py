"""What a set of job modules offers: job functions by name, the limits of queues, schedules."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from offload.domain.errors import InvalidDefinition, UnknownFunction
from offload.domain.functions import JobFunction, plain
from offload.domain.queues import DEFAULT_QUEUE, Queue
from offload.domain.schedules import Schedule

_CRON_HELD = 60.0  # arq.constants.keep_cronjob_progress


@dataclass(frozen=True)
class Catalogue:
    """Everything that was found; queues that are only named by functions have no limits."""

    functions: Mapping[str, JobFunction[Any, Any]] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def function(self, name: str) -> JobFunction[Any, Any]:
        """Return the job function of that name; raises UnknownFunction with the nearest name."""
        try:
            return self.functions[name]
        except KeyError:
            raise UnknownFunction(name, self.functions) from None

    def queue(self, name: str) -> Queue:
        """Return a queue's declaration, or one without limits."""
        return self.queues.get(name) or Queue(name)

    @property
    def queue_names(self) -> list[str]:
        """The queues a worker of this catalogue serves: highest priority first, then by name."""
        names = {DEFAULT_QUEUE, *self.queues, *(f.queue for f in self.functions.values())}
        return sorted(names, key=lambda name: (-self.queue(name).priority, name))


def collect(modules: Iterable[ModuleType]) -> Catalogue:
    """Collect JobFunctions, Queues and Schedules from module namespaces, and the functions of an arq `WorkerSettings`.

    Raises InvalidDefinition where two functions, queues or schedules share a name, or a schedule names no function.
    """
    functions: dict[str, JobFunction[Any, Any]] = {}
    queues: dict[str, Queue] = {}
    schedules: dict[str, Schedule] = {}
    for module in modules:
        for value in list(vars(module).values()):
            if isinstance(value, JobFunction):
                add(functions, value.name, value, "job function")
            elif isinstance(value, Queue):
                add(queues, value.name, value, "queue")
            elif isinstance(value, Schedule):
                add(schedules, value.name, value, "schedule")
        settings = vars(module).get("WorkerSettings")
        for listed in _listed(settings):
            add(functions, listed.name, listed, "job function")
    for schedule in schedules.values():
        if schedule.function not in functions:
            raise InvalidDefinition(f"schedule {schedule.name!r}: {UnknownFunction(schedule.function, functions)}")
        functions[schedule.function].arguments.validate(schedule.args)
    return Catalogue(functions, queues, schedules)


def of_functions(functions: Iterable[Any]) -> dict[str, JobFunction[Any, Any]]:
    """Return an arq-style list of functions (ours, `arq.func(...)`, plain coroutines) by name."""
    found: dict[str, JobFunction[Any, Any]] = {}
    for one in functions:
        made = as_job_function(one)
        add(found, made.name, made, "job function")
    return found


def as_job_function(one: Any) -> JobFunction[Any, Any]:
    """Return ours as it is, and an arq function, an arq cron job or a plain coroutine function as a plain one."""
    if isinstance(one, JobFunction):
        return one
    if hasattr(one, "coroutine"):  # arq.worker.Function and arq.cron.CronJob
        return plain(
            one.name,
            one.coroutine,
            timeout=one.timeout_s,
            keep_result=_keep(one),
            max_tries=one.max_tries,
            held_after=_CRON_HELD if hasattr(one, "next_run") else None,
        )
    if inspect.iscoroutinefunction(one):
        return plain(one.__qualname__, one)
    msg = f"{one!r} is no job function: use @job, arq.func(...) or an async def"
    raise InvalidDefinition(msg)


def add(found: dict[str, Any], name: str, value: Any, kind: str) -> None:
    """Add under a name; the same object twice is fine, another one of that name is refused."""
    other = found.setdefault(name, value)
    if other is not value and not (isinstance(value, Queue | Schedule) and other == value):
        detail = f": {_name_apart(other, value)}" if isinstance(value, JobFunction) else ""
        msg = f"two {kind}s are named {name!r}{detail}"
        raise InvalidDefinition(msg)


def _name_apart(*functions: JobFunction[Any, Any]) -> str:
    """Say where two functions of one name are, and propose names after the parts in which their modules differ."""
    where = [f"{function.fn.__module__}.{function.fn.__qualname__}" for function in functions]
    parts = [function.fn.__module__.split(".")[::-1] for function in functions]
    differing = next((place for place, pair in enumerate(zip(*parts, strict=False)) if len(set(pair)) > 1), None)
    place = min(map(len, parts)) if differing is None and parts[0] != parts[1] else differing or 0
    modules = [part[place] if place < len(part) else part[0] for part in parts]
    names = [f"{module}.{function.fn.__name__}" for module, function in zip(modules, functions, strict=True)]
    proposed = [f'@job(name="{name}")' for name in names if name != functions[0].name]
    return f"{where[0]} and {where[1]}; give them names of their own, such as {' and '.join(proposed)}"


def _listed(settings: Any) -> list[JobFunction[Any, Any]]:
    if settings is None:
        return []
    given = settings if isinstance(settings, dict) else vars(settings)
    ones = [*(given.get("functions") or ()), *(given.get("cron_jobs") or ())]
    return [as_job_function(one) for one in ones if not isinstance(one, str)]


def _keep(one: Any) -> float | None:
    return -1.0 if one.keep_result_forever else one.keep_result_s
