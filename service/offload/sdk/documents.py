"""The shapes of what goes in and comes out, as the API has them (`/openapi.json`); times are RFC 3339 in UTC.

A newer service may send members that are not listed here; they are handed on as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

Status: TypeAlias = Literal["deferred", "queued", "running", "retrying", "succeeded", "dead", "aborted"]
Moment: TypeAlias = datetime | str
ENDED = frozenset({"succeeded", "dead", "aborted"})


class Options(TypedDict, total=False):
    """What may be said about one job beside its arguments; durations in seconds.

    `delay` or `run_at`: start no earlier. `deadline`: dead when not finished by then. `queue`, `max_tries`, `timeout`
    (of one attempt), `keep_result`: instead of the function's own. `priority`: 0 to 9, higher first. `tags`: to find
    it by. `callback_url`: is told, signed, how the job ended. `unique_key`: while a job of this function and key is
    active, that one is the answer and none is added; with `unique_for`, for so long even when it has ended.
    """

    delay: float
    run_at: Moment
    deadline: Moment
    queue: str
    priority: int
    max_tries: int
    timeout: float
    keep_result: float
    tags: Sequence[str]
    callback_url: str
    unique_key: str
    unique_for: float


class NewJob(TypedDict):
    """One job of a batch."""

    function: str
    args: NotRequired[Mapping[str, Any]]
    options: NotRequired[Options]


class Filter(TypedDict, total=False):
    """Which jobs: those that fit all that is given. `error` is a fingerprint, as in `job["error"]["fingerprint"]`."""

    status: Status
    function: str
    queue: str
    tag: str
    error: str
    enqueued_after: Moment
    enqueued_before: Moment


class StallFilter(TypedDict, total=False):
    """Which stalls: those that fit all that is given. `fingerprint` is that of another of the same cause."""

    kind: str
    function: str
    route: str
    worker: str
    job_id: str
    fingerprint: str
    after: Moment
    before: Moment


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `name` is the state that a job entered, or `progress`, `log`, `blocked`, `stalled`.

    `id` is where to go on from. `data` has `job_id` and `at`; docs/reference/events.md lists the rest. The terminal
    event of a job that is followed has its whole document as `job`.
    """

    id: str
    name: str
    data: dict[str, Any]


class ErrorDocument(TypedDict):
    """An exception as data; jobs that failed in the same way share its `fingerprint`, None where no attempt failed."""

    type: str
    message: str
    traceback: str
    fingerprint: str | None
    details: NotRequired[dict[str, Any]]


class ProgressDocument(TypedDict):
    """How far a job says it is; `fraction` is from 0 to 1, or None where it cannot know."""

    fraction: float | None
    message: str | None
    at: str | None


class AttemptDocument(TypedDict):
    """One attempt that did not succeed."""

    attempt: int
    started_at: str | None
    ended_at: str | None
    worker: str | None
    error: ErrorDocument


class JobSummary(TypedDict):
    """One job in a list: all but its result, its failed attempts and its log."""

    id: str
    function: str | None
    queue: str
    status: Status
    aborting: bool
    args: dict[str, Any] | None
    attempt: int
    max_tries: int | None
    progress: ProgressDocument | None
    error: ErrorDocument | None
    tags: list[str]
    enqueued_at: str | None
    run_at: str | None
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    deadline: str | None
    timeout: float | None
    priority: int
    unique_key: str | None
    parent: str | None
    callback_url: str | None
    worker: str | None
    loop_ms: float | None
    steps: int | None
    max_step_ms: float | None
    stalls: int
    over_budget: int | None
    executor_wait_ms: float | None
    cpu_ms: float | None
    peak_rss_bytes: int | None
    links: dict[str, str]


class JobDocument(JobSummary):
    """One job as it stands, secrets among `args` masked; `result` is None until it succeeded, and once expired."""

    result: Any
    attempts: list[AttemptDocument]
    log: list[dict[str, Any]]
