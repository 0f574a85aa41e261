"""Every error that Offload raises on purpose, as one tree; a class says what the caller can do about it.

OffloadError
├── InvalidDefinition        fix the code of a job module
│   └── JobsNotLoaded        a job module cannot be imported
├── InvalidRequest           fix the call
│   ├── UnknownFunction
│   ├── InvalidArguments
│   ├── InvalidOptions
│   ├── InvalidBatch
│   └── IdempotencyKeyReused for another request than this one
├── NotFound                 there is no such job, queue, artifact …
├── Conflict                 the job is in a state, or its function is of a kind, that does not allow this
│   ├── NotFinished
│   ├── ResultExpired
│   ├── JobNotKept           this request enqueued it before, and it has been forgotten since
│   ├── NotMovable           the code of a job function cannot run in that executor
│   └── IdempotencyKeyInUse  the same request is in progress: retry soon
├── Unavailable              Redis cannot be reached: try again later
│   ├── MaybeEnqueued        it is unknown whether the job was enqueued: try again with its id
│   └── Unconfirmed          the job is stored, but not confirmed as durably as required: retry with the same id
├── Unreadable               encrypted with a key that this process does not have
├── JobFailed                awaited job is dead or aborted
└── JobError                 raised inside a job function
    ├── Retry                run me again
    ├── GiveUp               never run me again
    ├── Aborted              the job was asked to stop
    ├── AttemptTimeout       the attempt ran longer than its timeout
    ├── LoopBudgetExceeded   one step held the event loop for longer than the function's budget
    ├── LeaseLost            another worker may have this job by now
    ├── ResultNotSerializable
    ├── ResultTooLarge
    └── ChildDied            the process of a job function ended before it returned

HTTP status codes live in `offload.api.problems.responses`, exit codes in `offload.cli`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any


class OffloadError(Exception):
    """Base of everything that Offload raises on purpose."""


class InvalidDefinition(OffloadError):
    """A job function, queue or schedule is declared in a way that cannot work."""


class JobsNotLoaded(InvalidDefinition):
    """A module named by OFFLOAD_JOBS cannot be imported; `__cause__` is the user's own exception."""


class InvalidRequest(OffloadError):
    """The call can never succeed as it is."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid argument: `path` as in `message.to.0`, what was wrong, and pydantic's stable error type."""

    path: str
    message: str
    code: str


class UnknownFunction(InvalidRequest):
    """No loaded job module defines a function of that name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        near = get_close_matches(name, list(known), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        super().__init__(f"no job function named {name!r}{hint}")


class InvalidArguments(InvalidRequest):
    """The arguments do not fit the signature of the job function; `fields` names each."""

    def __init__(self, function: str, fields: Sequence[FieldError]) -> None:
        self.function = function
        self.fields = tuple(fields)
        faults = "; ".join(f"{f.path or '(arguments)'}: {f.message}" for f in self.fields)
        super().__init__(f"invalid arguments for {function!r}: {faults}")


class InvalidOptions(InvalidRequest):
    """An enqueue option or a filter is out of its range; `fields` names each where they are known."""

    def __init__(self, message: str, fields: Sequence[FieldError] = ()) -> None:
        self.fields = tuple(fields)
        super().__init__(message)


class InvalidBatch(InvalidRequest):
    """Some jobs of a batch are invalid, so none is enqueued; `fields` names each error of each job."""

    def __init__(self, fields: Sequence[FieldError]) -> None:
        self.fields = tuple(fields)
        faults = "1 error" if len(self.fields) == 1 else f"{len(self.fields)} errors"
        super().__init__(f"{faults} in the batch, so no job was enqueued; the first is {self.fields[0].path}: "
                         f"{self.fields[0].message}")  # fmt: skip


class IdempotencyKeyReused(InvalidRequest):
    """The idempotency key was used before, for another request."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"idempotency key {key!r} was already used with another method, path, query or body; "
            "use a new key for this request"
        )


class NotFound(OffloadError):
    """It does not exist, or its record has expired."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"{kind} {name!r} not found (it may have expired)")


class Conflict(OffloadError):
    """The job's state does not allow this."""


class NotFinished(Conflict):
    """The job has no result yet."""


class ResultExpired(Conflict):
    """The job is finished, but its result TTL has passed."""


class JobNotKept(Conflict):
    """The job of an idempotency key was enqueued and has been forgotten since; it is not enqueued again."""


class NotMovable(Conflict):
    """The code of a job function cannot run in the requested executor."""


class IdempotencyKeyInUse(Conflict):
    """A request with this idempotency key is in progress; retry in a moment for its outcome."""

    def __init__(self, key: str = "") -> None:
        named = f"idempotency key {key!r}" if key else "this idempotency key"
        super().__init__(f"a request with {named} is in progress; retry in a moment")


class Unavailable(OffloadError):
    """Redis cannot be reached or refuses to serve; nothing was changed that we know of."""


class MaybeEnqueued(Unavailable):
    """`ctx.enqueue` was not confirmed: the job may be stored or not; if it is, `id` is its id.

    Enqueuing again with this id (`EnqueueOptions(job_id=error.id)`) adds no second one.
    """

    def __init__(self, job_id: str, why: str) -> None:
        self.id = job_id
        self.why = why
        super().__init__(
            f"it is not known whether job {job_id} was enqueued ({why}); enqueuing it again with the same id adds no "
            "second one"
        )


class Unconfirmed(Unavailable):
    """The jobs are stored and may run, but replicas or disks did not confirm it in time.

    Retrying with the same ids enqueues no second one, and waits for the confirmation again.
    """

    def __init__(self, ids: Sequence[str], why: str) -> None:
        self.ids = tuple(ids)
        self.why = why
        stored = f"job {ids[0]} is" if len(ids) == 1 else f"{len(ids)} jobs are"
        super().__init__(
            f"{stored} stored and may run, but {why}; retrying with the same id does not enqueue a second one"
        )


class Unreadable(OffloadError):
    """The requested data is encrypted with a key that this process does not have; `key_id` names it."""

    def __init__(self, part: str, job_id: str, key_id: str) -> None:
        self.key_id = key_id
        super().__init__(
            f"the {part} of job {job_id} is encrypted with key {key_id}, which is not in this process's "
            "OFFLOAD_ENCRYPTION_KEYS"
        )


class JobFailed(OffloadError):
    """The awaited job ended without success; `error` is its recorded error, `status` how it ended."""

    def __init__(self, job_id: str, status: str, error: "ErrorInfo | None") -> None:
        self.job_id = job_id
        self.status = status
        self.error = error
        super().__init__(f"job {job_id} is {status}" + (f": {error.type}: {error.message}" if error else ""))


class JobError(OffloadError):
    """Raised inside a job function, by the user or on the job's behalf."""


class Retry(JobError):
    """Run the job again: after `after` seconds, or by the policy's backoff when it is None."""

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        if after is not None and after < 0:
            msg = f"Retry(after={after}) must not be negative"
            raise InvalidDefinition(msg)
        self.after = after
        super().__init__(reason)


class GiveUp(JobError):
    """Never run the job again: it is dead with this reason."""


class Aborted(JobError):
    """The job was asked to stop."""


class AttemptTimeout(JobError):
    """The attempt ran longer than its timeout; it is retried like an ordinary exception."""


class LoopBudgetExceeded(JobError):
    """One step held the event loop for longer than `loop_budget_ms`; it is retried like an ordinary exception.

    `give_up_on=[LoopBudgetExceeded]` makes it the end of the job.
    """


class LeaseLost(JobError):
    """This worker no longer holds the right to run the job; nothing it writes about it counts."""


class ResultNotSerializable(JobError):
    """The job function returned something that JSON (or the configured serializer) cannot carry."""


class ResultTooLarge(JobError):
    """The serialised result is over OFFLOAD_MAX_RESULT_BYTES; return it as an artifact."""


class ChildDied(JobError):
    """The child process that ran the job function ended before it returned (signal, out of memory, exit)."""


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An exception as data: the only form in which one is stored or sent.

    `fingerprint` (see `offload.domain.fingerprints`) is set when the error of an attempt is recorded.
    """

    type: str
    message: str
    traceback: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON shape `{type, message, traceback, fingerprint?, details?}` of the job document."""
        shape: dict[str, Any] = {"type": self.type, "message": self.message, "traceback": self.traceback}
        if self.fingerprint:
            shape["fingerprint"] = self.fingerprint
        if self.details:
            shape["details"] = self.details
        return shape
