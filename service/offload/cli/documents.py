"""The documents that `--json` prints: the API's own, so that a script can change from one to the other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from offload.domain import views
from offload.domain.filters import BulkOutcome
from offload.domain.functions import JobFunction
from offload.domain.overrides import Override
from offload.domain.records import FunctionStats, JobRecord, QueueState
from offload.settings import Settings
from offload.wiring import Backend

_OBSERVED = ("override", "recent", "mean_ms")


@dataclass(frozen=True)
class Observed:
    """Facts of job functions that are in Redis, not in their code."""

    recent: Mapping[str, FunctionStats]
    overrides: Mapping[str, Override]

    @classmethod
    async def read(cls, offload: Backend) -> Self:
        """Read them."""
        return cls(await offload.inspector.recent(), await offload.inspector.overrides())


def job(record: JobRecord) -> Any:
    """Return one job in full."""
    return views.job(record)


def jobs(records: tuple[JobRecord, ...]) -> list[Any]:
    """Return jobs as a list shows them, without results."""
    return [views.summary(record) for record in records]


def bulk(outcome: BulkOutcome) -> Any:
    """Return the outcome of an action on all jobs that fit a filter."""
    return views.bulk(outcome)


def queues(states: list[QueueState]) -> list[Any]:
    """Return queues."""
    return [views.queue(state) for state in states]


def workers(beats: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return live workers."""
    return [views.worker(dict(beat)) for beat in beats]


def function(function: JobFunction[Any, Any], settings: Settings, observed: Observed | None) -> dict[str, Any]:
    """Return one job function; without `observed` it has only what its code declares."""
    defaults = views.Defaults(settings.max_tries, settings.job_timeout, settings.keep_result, settings.loop_budget_ms)
    if observed is not None:
        recent, override = observed.recent.get(function.name), observed.overrides.get(function.name)
        return {**views.function(function, defaults, recent, override)}
    document = views.function(function, defaults, None)
    return {name: value for name, value in document.items() if name not in _OBSERVED}


def compact(value: Any) -> str:
    """Return JSON on one line."""
    return orjson.dumps(value, default=str).decode()


def pretty(value: Any) -> str:
    """Return JSON over several lines."""
    return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode()
