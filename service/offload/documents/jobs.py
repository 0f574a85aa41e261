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
        Named("Status", "The status of a job."),
    ],
)


class ErrorDocument(TypedDict):
    """An exception as data; jobs that failed in the same way share its `fingerprint`, null if no attempt failed."""

    type: str
    message: str
    traceback: str
    fingerprint: str | None
    details: NotRequired[dict[str, Any]]


class ProgressDocument(TypedDict):
    """The progress that a job reported; `fraction` is from 0 to 1, or null if it is unknown."""

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
    """One job in a list: without its result, failed attempts and log.

    It held the event loop for `loop_ms` in `steps` steps, the longest of `max_step_ms`; `stalls` of them were too long.
    It waited `executor_wait_ms` in its worker for a thread or a process; a process used `cpu_ms` and `peak_rss_bytes`.
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
    """One job, with secrets among `args` masked; `result` is null until the job has succeeded, and once expired."""

    result: Any
    attempts: list[AttemptDocument]
    log: list[dict[str, Any]]


class JobList(TypedDict):
    """One page of jobs, newest first; `next` is the `cursor` of the page after it, null on the last."""

    items: list[JobSummary]
    next: str | None


class BulkDocument(TypedDict):
    """The outcome of an action on all jobs that fit a filter.

    `matched` counts the jobs that fit and allow the action: in a dry run all, else those that were selected. `done`
    counts the jobs on which it worked; the others had moved on meanwhile. `ids` has the first hundred. Where `more` is
    true there may be others: call again.
    """

    matched: int
    done: int
    dry_run: bool
    ids: list[str]
    more: bool
