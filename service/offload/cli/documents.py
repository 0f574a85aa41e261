"""What `--json` prints: the API's own documents, so that a script may change from one to the other."""

from typing import Any

import orjson

from offload.domain import views
from offload.domain.filters import BulkOutcome
from offload.domain.functions import JobFunction
from offload.domain.overrides import Override
from offload.domain.records import JobRecord, QueueState
from offload.settings import Settings


def job(record: JobRecord) -> Any:
    """Return one job in full."""
    return views.job(record)


def jobs(records: tuple[JobRecord, ...]) -> list[Any]:
    """Return jobs as a list shows them, without results."""
    return [views.summary(record) for record in records]


def bulk(outcome: BulkOutcome) -> Any:
    """Return what became of all jobs that fit a filter."""
    return views.bulk(outcome)


def queues(states: list[QueueState]) -> list[Any]:
    """Return queues."""
    return [views.queue(state) for state in states]


def function(one: JobFunction[Any, Any], settings: Settings) -> dict[str, Any]:
    """Return one job function as its code says; what only Redis knows is not part of it, since none is asked."""
    shown = moved(one, settings, None)
    return {name: value for name, value in shown.items() if name != "override"}


def moved(one: JobFunction[Any, Any], settings: Settings, override: Override | None) -> dict[str, Any]:
    """Return one job function, with where somebody moved it."""
    defaults = views.Defaults(settings.max_tries, settings.job_timeout, settings.keep_result, settings.loop_budget_ms)
    shown: dict[str, Any] = {**views.function(one, defaults, None, override)}
    return {name: value for name, value in shown.items() if name not in ("recent", "mean_ms")}


def compact(value: Any) -> str:
    """Return JSON on one line."""
    return orjson.dumps(value, default=str).decode()


def pretty(value: Any) -> str:
    """Return JSON over several lines."""
    return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode()
