"""The document that explains why a job is not running."""

from typing import Annotated, Literal

from typing_extensions import TypeAliasType, TypedDict

from offload.documents.jobs import Status
from offload.documents.schema import Named, example

Reason = TypeAliasType(
    "Reason",
    Annotated[
        Literal[
            "succeeded",
            "dead",
            "aborted",
            "running",
            "waits-for-thread",
            "waits-for-process",
            "runs-elsewhere",
            "deferred",
            "retrying",
            "requeued",
            "not-queued",
            "queue-paused",
            "no-worker",
            "unknown-function",
            "workers-stopping",
            "max-running",
            "rate",
            "workers-full",
            "lease-over",
            "behind-others",
            "next",
        ],
        Named("Reason", "The reason why a job has its status; these words never change."),
    ],
)


class JobRefDocument(TypedDict):
    """Another job that an explanation names; `worker` and `since` are null if it does not run."""

    id: str
    function: str | None
    worker: str | None
    since: str | None


class LimitsDocument(TypedDict):
    """The limits of the queue; `holders` are up to five of its running jobs.

    `next_start_at` is when its rate allows another start, null if it does now.
    """

    paused: bool
    paused_by: str | None
    paused_at: str | None
    max_running: int | None
    running: int
    holders: list[JobRefDocument]
    rate: str | None
    next_start_at: str | None


class WorkerCountsDocument(TypedDict):
    """Counts of live workers: all, those that serve the queue, those that know the function too, with their slots."""

    live: int
    serving: int
    able: int
    slots: int
    running: int


class JobWorkerDocument(TypedDict):
    """The worker that runs the job, since when, and its last heartbeat."""

    id: str
    since: str | None
    beat_at: str | None


@example(
    job_id="019ab1f5e0c4b7a0c8d4e5f60718293a",
    function="mail.send",
    queue="mail",
    status="queued",
    reason="queue-paused",
    sentence="Queue 'mail' is paused by ops since 2026-11-22T09:30:00.000Z; it starts no job until it is resumed.",
    also=["behind-others"],
    run_at="2026-11-22T09:31:12.125Z",
    position=1,
    before=[{"id": "019ab1f5e0c4a1b2c3d4e5f60718293a", "function": "mail.send", "worker": None, "since": None}],
    limits={
        "paused": True,
        "paused_by": "ops",
        "paused_at": "2026-11-22T09:30:00.000Z",
        "max_running": 2,
        "running": 0,
        "holders": [],
        "rate": "10/1s",
        "next_start_at": None,
    },
    workers={"live": 2, "serving": 1, "able": 1, "slots": 100, "running": 3},
    worker=None,
)
class ExplanationDocument(TypedDict):
    """Why a job is not running: `reason` is a stable word, `sentence` for a person, the rest the facts behind both.

    `also` names further reasons that hold it back after that. `position` is the number of jobs before it in its queue,
    and `before` the first five of them; null if it is not due. `run_at` is when its queue offers it.
    """

    job_id: str
    function: str | None
    queue: str
    status: Status
    reason: Reason
    sentence: str
    also: list[Reason]
    run_at: str | None
    position: int | None
    before: list[JobRefDocument]
    limits: LimitsDocument
    workers: WorkerCountsDocument
    worker: JobWorkerDocument | None
