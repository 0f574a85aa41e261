"""The contents of a set of job modules: job functions by name, queues with limits, schedules."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from offload.domain.errors import InvalidDefinition, UnknownFunction
from offload.domain.functions import JobFunction, plain_function
from offload.domain.queues import DEFAULT_QUEUE, Queue
from offload.domain.schedules import Schedule

_CRON_HELD = 60.0  # arq.constants.keep_cronjob_progress


@dataclass(frozen=True)
class Catalogue:
    """Job functions, queues and schedules by name; a queue that only functions name has no limits."""

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
        """The queues that a worker of this catalogue serves: highest priority first, then by name."""
        names = {DEFAULT_QUEUE, *self.queues, *(f.queue for f in self.functions.values())}
        return sorted(names, key=lambda name: (-self.queue(name).priority, name))


def collect(modules: Iterable[ModuleType]) -> Catalogue:
    """Collect JobFunctions, Queues and Schedules from module namespaces, and the functions of an arq `WorkerSettings`.

    Raises InvalidDefinition if two functions, queues or schedules share a name, or a schedule names no function.
    """
    functions: dict[str, JobFunction[Any, Any]] = {}
    queues: dict[str, Queue] = {}
    schedules: dict[str, Schedule] = {}
    for module in modules:
        for value in list(vars(module).values()):
            if isinstance(value, JobFunction):
                _add(functions, value.name, value, "job function")
            elif isinstance(value, Queue):
                _add(queues, value.name, value, "queue")
            elif isinstance(value, Schedule):
                _add(schedules, value.name, value, "schedule")
        settings = vars(module).get("WorkerSettings")
        for listed in _listed(settings):
            _add(functions, listed.name, listed, "job function")
    for schedule in schedules.values():
        if schedule.function not in functions:
            raise InvalidDefinition(f"schedule {schedule.name!r}: {UnknownFunction(schedule.function, functions)}")
        functions[schedule.function].arguments.validate(schedule.args)
    return Catalogue(functions, queues, schedules)


def of_functions(functions: Iterable[Any]) -> dict[str, JobFunction[Any, Any]]:
    """Return an arq-style list of functions (ours, `arq.func(...)`, plain coroutines) by name."""
    by_name: dict[str, JobFunction[Any, Any]] = {}
    for listed in functions:
        function = as_job_function(listed)
        _add(by_name, function.name, function, "job function")
    return by_name


def as_job_function(listed: Any) -> JobFunction[Any, Any]:
    """Return ours as it is, and an arq function, an arq cron job or a plain coroutine function as a plain one."""
    if isinstance(listed, JobFunction):
        return listed
    if hasattr(listed, "coroutine"):  # arq.worker.Function and arq.cron.CronJob
        return plain_function(
            listed.name,
            listed.coroutine,
            timeout=listed.timeout_s,
            keep_result=_keep_result(listed),
            max_tries=listed.max_tries,
            held_after=_CRON_HELD if hasattr(listed, "next_run") else None,
        )
    if inspect.iscoroutinefunction(listed):
        return plain_function(listed.__qualname__, listed)
    msg = f"{listed!r} is not a job function: use @job, arq.func(...) or an async def"
    raise InvalidDefinition(msg)


def _add(by_name: dict[str, Any], name: str, value: Any, kind: str) -> None:
    """Add an object by its name; the same object may come twice, a second object of that name is refused."""
    other = by_name.setdefault(name, value)
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
    members = settings if isinstance(settings, dict) else vars(settings)
    listed = [*(members.get("functions") or ()), *(members.get("cron_jobs") or ())]
    return [as_job_function(function) for function in listed if not isinstance(function, str)]


def _keep_result(listed: Any) -> float | None:
    return -1.0 if listed.keep_result_forever else listed.keep_result_s
