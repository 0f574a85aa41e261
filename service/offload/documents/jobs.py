"""The documents of jobs: one in full, one in a list, and the outcome of a bulk call.

Times are RFC 3339 in UTC, durations seconds.
"""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypeAliasType, TypedDict

from offload.documents.schema import Named

Status = TypeAliasType(
    "Status",
    Annotated[
        Literal["deferred", "queued", "running", "retrying", "succeeded", "dead", "aborted"],
        Named("Status", "Where a job stands."),
    ],
)


class ErrorDocument(TypedDict):
    """An exception as data; jobs that failed in the same way share its `fingerprint`, null where no attempt failed."""

    type: str
    message: str
    traceback: str
    fingerprint: str | None
    details: NotRequired[dict[str, Any]]


class ProgressDocument(TypedDict):
    """How far a job says it is; `fraction` is from 0 to 1, or null where it cannot know."""

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
    """One job in a list: all but its result, its failed attempts and its log.

    Of the event loop it took `loop_ms` in `steps`, the longest `max_step_ms`; `stalls` of them were too long. It waited
    `executor_wait_ms` in its worker for a thread or a process; the latter took `cpu_ms`, and `peak_rss_bytes` at most.
    """

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
    """One job as it stands, secrets among `args` masked; `result` is null until it has succeeded, and once expired."""

    result: Any
    attempts: list[AttemptDocument]
    log: list[dict[str, Any]]


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
