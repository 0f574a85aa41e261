"""The shapes that the API answers with; each is declared once, for the type checker and for OpenAPI alike.

Times are RFC 3339 in UTC, durations seconds. A name that is not here is not part of the API. The document of a job
stands in `offload.domain.documents`, for callbacks carry it too.
"""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired
from urllib.parse import quote

import orjson
from starlette.responses import Response
from typing_extensions import TypedDict

from offload.api.state import Defaults
from offload.documents.loops import LoopDocument
from offload.domain.clock import rfc3339
from offload.domain.documents import JobDocument, JobSummary, job, links, location, summary
from offload.domain.executors import ExecutorDocument
from offload.domain.filters import BulkOutcome
from offload.domain.functions import JobFunction
from offload.domain.overrides import Override, place
from offload.domain.records import FunctionStats, QueueState
from offload.domain.reports import example

__all__ = ["JobDocument", "JobSummary", "job", "links", "location", "summary"]  # elsewhere, used as ours


class JobList(TypedDict):
    """One page of jobs, newest first; `next` is the `cursor` of the page after it, null on the last."""

    items: list[JobSummary]
    next: str | None


class BulkDocument(TypedDict):
    """What became of all jobs that fit a filter.

    `matched` counts those that fit and that the action is for: in a dry run all, else those it took on. `done` counts
    those that it worked on; the others had moved on meanwhile. `ids` has the first hundred. Where `more` is true there
    may be others: call again.
    """

    matched: int
    done: int
    dry_run: bool
    ids: list[str]
    more: bool


class BackoffDocument(TypedDict):
    """Wait a random share of `min(limit, base * factor ** (attempt - 1))` seconds between attempts."""

    base: float
    factor: float
    limit: float


class PolicyDocument(TypedDict):
    """When a failed attempt is tried again, and how long things take and last, in seconds.

    `loop_budget_ms` is how long one step of an async job may hold the event loop; over it, `over_budget` is done.
    """

    max_tries: int
    timeout: float
    keep_result: float
    retries_exceptions: bool
    backoff: BackoffDocument
    loop_budget_ms: float | None
    over_budget: Literal["warn", "fail"]


class OverrideDocument(TypedDict):
    """Who had a job function run somewhere else than its code says, and since when."""

    runs_in: Literal["thread", "process"]
    by: str
    at: str | None


class FunctionDocument(TypedDict):
    """One job function; `arguments` and `result` are JSON schemas.

    `runs_in` is where it runs, by its code or by `override`, which is null where nobody moved it. `recent` counts its
    endings of the last 24 hours; `mean_ms` is for how long those attempts that succeeded ran.
    """

    name: str
    description: str
    queue: str
    runs_in: Literal["loop", "thread", "process"]
    override: OverrideDocument | None
    arguments: dict[str, Any]
    result: dict[str, Any]
    policy: PolicyDocument
    recent: dict[str, int]
    mean_ms: float | None
    links: dict[str, str]


class FunctionList(TypedDict):
    """All job functions, by name."""

    items: list[FunctionDocument]
    next: None


class QueueDocument(TypedDict):
    """One queue; `oldest_at` is when its longest waiting due job became due."""

    name: str
    queued: int
    deferred: int
    running: int
    oldest_at: str | None
    paused: bool
    paused_by: str | None
    paused_at: str | None
    max_running: int | None
    rate: str | None
    links: dict[str, str]


class QueueList(TypedDict):
    """All queues that are declared or were ever used."""

    items: list[QueueDocument]
    next: None


@example(
    id="web-1-4021-9f3c2a",
    queues=["default", "mail"],
    functions=["mail.send", "report.daily"],
    slots=100,
    running=3,
    succeeded=1204,
    failed=2,
    retried=17,
    stopping=False,
    beat_at="2026-11-22T09:30:00.125Z",
    loop={
        "lag_ms": 0.2,
        "max_lag_ms": 154.2,
        "busy": 0.12,
        "functions": {"mail.send": 1634.8},
        "stalls": {"step": 1},
        "stalls_dropped": 0,
        "stalls_lost": 0,
    },
    executors=[{"queue": "mail", "kind": "thread", "size": 6, "busy": 2, "waiting": 0, "leaked": 0}],
)
class WorkerDocument(TypedDict):
    """A live worker, as it describes itself; `loop` is null where its event loop is not watched.

    `executors` has its threads and processes, for each queue whose jobs run there.
    """

    id: str
    queues: NotRequired[list[str]]
    functions: NotRequired[list[str]]
    slots: NotRequired[int]
    running: NotRequired[int]
    succeeded: NotRequired[int]
    failed: NotRequired[int]
    retried: NotRequired[int]
    stopping: NotRequired[bool]
    beat_at: NotRequired[str]
    loop: NotRequired[LoopDocument | None]
    executors: NotRequired[list[ExecutorDocument]]


class WorkerList(TypedDict):
    """The live workers, by name."""

    items: list[WorkerDocument]
    next: None


def answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Serialise a document."""
    return Response(orjson.dumps(document), status, headers, "application/json")


def function(
    one: JobFunction[Any, Any], defaults: Defaults, recent: FunctionStats | None, override: Override | None = None
) -> FunctionDocument:
    """Describe a job function, with the worker's defaults where it says nothing itself."""
    here = f"/v1/functions/{quote(one.name, safe='')}"
    return {
        "name": one.name,
        "description": one.description,
        "queue": one.queue,
        "runs_in": place(one, override),
        "override": None
        if override is None
        else {"runs_in": override.runs_in, "by": override.by, "at": rfc3339(override.at_ms)},
        "arguments": one.arguments.schema,
        "result": one.result_type.schema,
        "policy": {
            "max_tries": one.max_tries or defaults.max_tries,
            "timeout": one.timeout or defaults.timeout,
            "keep_result": defaults.keep_result if one.keep_result is None else one.keep_result,
            "retries_exceptions": bool(one.retry_on),
            "backoff": {"base": one.backoff.base, "factor": one.backoff.factor, "limit": one.backoff.limit},
            "loop_budget_ms": one.loop_budget_ms or (defaults.loop_budget_ms if one.runs_in == "loop" else None),
            "over_budget": one.over_budget,
        },
        "recent": dict(recent.endings) if recent else {},
        "mean_ms": recent.mean_ms if recent else None,
        "links": {"self": here, "jobs": f"{here}/jobs"},
    }


def bulk(outcome: BulkOutcome) -> BulkDocument:
    """Describe what a bulk call came to."""
    return {
        "matched": outcome.matched,
        "done": outcome.done,
        "dry_run": outcome.is_dry_run,
        "ids": list(outcome.ids),
        "more": outcome.has_more,
    }


def worker(about: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a worker: its times, which are ms, are written as everywhere; `beat` becomes `beat_at`."""
    shown = {name: value for name, value in about.items() if name not in ("beat", "started")}
    return shown | {f"{name}_at": rfc3339(about[name]) for name in ("started", "beat") if name in about}


def queue(state: QueueState) -> QueueDocument:
    """Describe a queue."""
    here = f"/v1/queues/{quote(state.name, safe='')}"
    return {
        "name": state.name,
        "queued": state.queued,
        "deferred": state.deferred,
        "running": state.running,
        "oldest_at": rfc3339(state.oldest_ms),
        "paused": state.paused,
        "paused_by": state.paused_by,
        "paused_at": rfc3339(state.paused_ms),
        "max_running": state.max_running,
        "rate": state.rate,
        "links": {"self": here, "pause": f"{here}/pause", "resume": f"{here}/resume"},
    }
