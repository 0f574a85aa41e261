"""Resolves a claimed job to its function and the rules of this run, or to the reason why it does not run."""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import structlog
from arq.jobs import DeserializationError
from arq.worker import JobExecutionFailed

from offload.domain import callbacks
from offload.domain.clock import now_ms
from offload.domain.errors import ErrorInfo
from offload.domain.functions import Functions, JobFunction
from offload.domain.policy import Abort, Dead, Decision, Requeue, RetryPolicy
from offload.domain.retention import Retention
from offload.domain.security.secrets import Redaction, mask
from offload.store.jobs.codec import Codec, KeyMissing, Payload, Undecodable
from offload.store.jobs.leases import Claimed
from offload.worker.outcome import describe

log = structlog.get_logger(__name__)

_UNKNOWN_FUNCTION_PAUSE_MS = 2000
_KEY_MISSING_PAUSE_MS = (2000, 60_000)
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Rules:
    """The rules of every attempt of one worker; times in seconds."""

    max_tries: int = 5
    timeout: float | None = 300.0
    keep_result: float = 3600.0
    retention: Retention = field(default_factory=Retention)
    max_result_bytes: int = 1_048_576
    unknown_function_grace: float = 600.0
    retry_jobs: bool = True
    loop_budget_ms: float | None = None
    allow_abort_jobs: bool = True  # whether arq's `Job.abort()` is heeded; ours always is


@dataclass(slots=True)
class ResolvedJob:
    """A claimed job that can run: its payload and function, and the limits of this run."""

    payload: Payload
    function: JobFunction[Any, Any]
    policy: RetryPolicy
    timeout: float | None
    keep_result: float
    deadline_ms: int | None
    traceparent: str | None
    _redaction: Redaction | None = None

    @property
    def redaction(self) -> Redaction:
        """Hides the secrets among its arguments in its notes and errors; made when the first of these comes."""
        if self._redaction is None:
            arguments = self.function.arguments
            values = {**dict(zip(arguments.names, self.payload.args, strict=False)), **self.payload.kwargs}
            self._redaction = Redaction(values, arguments.secret_names)
        return self._redaction

    def without_secrets(self, note: dict[str, Any]) -> dict[str, Any]:
        """Return a note of the job (its message, the fields of a log line) without secrets."""
        hidden = {**note, "message": self.redaction.of(note.get("message"))}
        if "fields" in note:
            hidden["fields"] = self.redaction.of(mask(note["fields"]))
        return hidden

    def described(self, error: ErrorInfo) -> ErrorInfo:
        """Return an error of the job without the values that are known to be secret."""
        hide = self.redaction
        if not hide:
            return error
        return replace(
            error,
            message=hide.text(error.message),
            traceback=hide.text(error.traceback),
            details=hide.of(error.details),
        )


class Resolver:
    """Resolves claimed jobs by the functions and rules of one worker."""

    def __init__(self, functions: Functions, codec: Codec, rules: Rules) -> None:
        self._functions = functions
        self._codec = codec
        self._rules = rules
        self._missing: set[str] = set()  # the ids of keys, so that each is logged once

    def resolve(self, job: Claimed) -> ResolvedJob | tuple[Payload, Decision]:  # noqa: PLR0911 - one line for each refusal
        """Return the job with all that its run needs, or its payload and the decision where it does not run."""
        payload = Payload(job.function or "<unknown>", (), {}, None, job.enqueued_ms)
        if job.payload is None:
            return payload, _dead("JobExpired", "job expired")
        try:
            payload = self._codec.decode_job(job.payload)
        except KeyMissing as error:
            return payload, self._key_missing(job, error) if not job.is_aborted else Abort()
        except Undecodable as error:
            return payload, Dead(describe(error), DeserializationError("unable to deserialize job"))
        if job.is_aborted and self._rules.allow_abort_jobs:
            return payload, Abort()
        options = orjson.loads(job.options) if job.options else {}
        deadline_ms = options.get("deadline")
        if deadline_ms is not None and deadline_ms <= now_ms():
            return payload, _dead("DeadlineExceeded", "its deadline had passed before it ran")
        function = self._functions.get(payload.function)
        if function is None:
            return payload, self._unknown(job, payload)
        policy = function.retry_policy(self._rules.max_tries, options.get("max_tries"))
        if job.attempt > policy.max_tries:
            return payload, _used_up(job, policy.max_tries)
        timeout = options.get("timeout") or function.timeout or self._rules.timeout
        if deadline_ms is not None:
            timeout = min(timeout or _NO_LIMIT, (deadline_ms - now_ms()) / 1000)
        keep = options.get("keep_result", function.keep_result)
        if keep is None:  # by default a callback that comes late has the result too
            least = callbacks.KEPT_S if "callback_url" in options else 0
            keep = self._rules.keep_result if self._rules.keep_result < 0 else max(self._rules.keep_result, least)
        return ResolvedJob(payload, function, policy, timeout, keep, deadline_ms, options.get("traceparent"))

    def _key_missing(self, job: Claimed, error: KeyMissing) -> Decision:
        """Leave the job to a worker that has the key, however long that takes: nothing is wrong with the job."""
        if error.key_id not in self._missing:
            self._missing.add(error.key_id)
            log.error("encryption_key_missing", job_id=job.id, key_id=error.key_id, queue=job.queue)
        deadline_ms = orjson.loads(job.options).get("deadline") if job.options else None
        if deadline_ms is not None and deadline_ms <= now_ms():
            return _dead("DeadlineExceeded", f"its deadline passed, and no worker had its key {error.key_id}")
        shortest, longest = _KEY_MISSING_PAUSE_MS
        waited = now_ms() - max(job.enqueued_ms, 0)
        why = f"it does not have the encryption key {error.key_id}"
        return Requeue(now_ms() + min(longest, max(shortest, waited)), why)

    def _unknown(self, job: Claimed, payload: Payload) -> Decision:
        if now_ms() - job.due_ms < self._rules.unknown_function_grace * 1000:
            return Requeue(now_ms() + _UNKNOWN_FUNCTION_PAUSE_MS, f"it knows no function {payload.function!r}")
        known = ", ".join(sorted(self._functions))
        return _dead("UnknownFunction", f"no worker knows {payload.function!r}; this one knows: {known}")


def _dead(kind: str, message: str, *, was_tried: bool = True) -> Dead:
    return Dead(ErrorInfo(kind, message), JobExecutionFailed(message), was_tried)


def _used_up(job: Claimed, max_tries: int) -> Dead:
    if job.lost_worker is not None:
        message = f"attempt {job.attempt - 1} of {max_tries} was lost with worker {job.lost_worker}"
        return _dead("WorkerLost", message, was_tried=False)
    return _dead("AttemptsUsedUp", f"max {max_tries} retries exceeded", was_tried=False)
