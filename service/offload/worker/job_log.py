"""The log of a worker's jobs: structured events, or arq's own lines if all its functions are plain arq functions.

People who come from arq have alerts and habits on those lines; our events never show arguments or results.
"""

import logging
from typing import Any, Literal, Protocol

import orjson
import structlog
from arq.utils import args_to_string, truncate

from offload.domain.clock import now_ms
from offload.domain.policy import Abort, Dead, Decision, Drop, Requeue, RetryAt, Succeed
from offload.domain.security.secrets import mask
from offload.domain.tracing import trace_id
from offload.store.jobs.codec import Payload
from offload.store.jobs.leases import Claimed

# A stopping worker first waits for what runs; then, or at once, it interrupts the rest.
Phase = Literal["waiting", "waited", "now"]
_LATE_MS = 1200  # arq says `delayed=` from here on


class JobLog(Protocol):
    """The log of one worker: its start and stop, and each attempt."""

    def worker_started(self, worker: str, queues: list[str], functions: list[str]) -> None:
        """Log that the worker starts."""

    def attempt_started(self, job: Claimed, payload: Payload) -> None:
        """Log that an attempt starts."""

    def attempt_ended(self, job: Claimed, payload: Payload, decision: Decision) -> None:
        """Log how an attempt ended, or why it was not made."""

    def worker_stopping(self, signal: str, counts: dict[str, int], phase: Phase) -> None:
        """Log that the worker stops."""


class StructuredJobLog:
    """Structured events with stable names."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("offload.worker").bind()

    def worker_started(self, worker: str, queues: list[str], functions: list[str]) -> None:
        """Log that the worker starts."""
        self._log.info("worker_started", worker=worker, queues=queues, functions=sorted(functions))

    def attempt_started(self, job: Claimed, payload: Payload) -> None:
        """Log that an attempt starts."""
        if not self._log.is_enabled_for(logging.INFO):  # the fields would be made in vain, for each job
            return
        fields = {"job_id": job.id, "function": payload.function, "queue": job.queue, "attempt": job.attempt}
        self._log.info("job_started", **fields, **_trace_of(job))

    def attempt_ended(self, job: Claimed, payload: Payload, decision: Decision) -> None:
        """Log how an attempt ended."""
        if not isinstance(decision, Dead) and not self._log.is_enabled_for(logging.INFO):
            return
        fields = {"job_id": job.id, "function": payload.function, "attempt": job.attempt, **_trace_of(job)}
        match decision:
            case Dead(error):
                self._log.warning("job_dead", **fields, error=error.type, reason=error.message[:500])
            case RetryAt(due_ms, error):
                wait_ms = due_ms - now_ms()
                self._log.info(
                    "job_retry_scheduled", **fields, error=error.type, reason=error.message[:500], wait_ms=wait_ms
                )
            case _:
                self._log.info(_ENDED[type(decision)], **fields, ms=now_ms() - job.claimed_ms)

    def worker_stopping(self, signal: str, counts: dict[str, int], phase: Phase) -> None:
        """Log that the worker stops."""
        self._log.info(
            "worker_stopping" if phase == "waiting" else "worker_stopped", signal=signal, running=counts["running"]
        )


def _trace_of(job: Claimed) -> dict[str, str]:
    """Return the id of the trace that the job came with, by which logs of several services are joined."""
    if b"traceparent" not in job.options:
        return {}
    trace = trace_id(orjson.loads(job.options).get("traceparent") or "")
    return {"trace_id": trace} if trace else {}


_ENDED = {Succeed: "job_succeeded", Abort: "job_aborted", Requeue: "job_requeued", Drop: "job_lease_lost"}


class ArqJobLog:
    """arq 0.28's lines, from its logger `arq.worker`."""

    def __init__(self, *, log_results: bool) -> None:
        self._log = logging.getLogger("arq.worker")
        self._log_results = log_results

    def worker_started(self, worker: str, queues: list[str], functions: list[str]) -> None:  # noqa: ARG002 - as JobLog
        """Log that the worker starts."""
        self._log.info("Starting worker for %d functions: %s", len(functions), ", ".join(functions))

    def attempt_started(self, job: Claimed, payload: Payload) -> None:
        """Log that an attempt starts."""
        extra = f" try={job.attempt}" if job.attempt > 1 else ""
        if job.claimed_ms - job.due_ms > _LATE_MS:
            extra += f" delayed={(job.claimed_ms - job.due_ms) / 1000:0.2f}s"
        waited = (job.claimed_ms - payload.enqueued_ms) / 1000
        arguments = args_to_string(payload.args, mask(payload.kwargs))
        self._log.info("%6.2fs → %s(%s)%s", waited, _ref(job, payload), arguments, extra)

    def attempt_ended(self, job: Claimed, payload: Payload, decision: Decision) -> None:
        """Log how an attempt ended."""
        took, ref = (now_ms() - job.claimed_ms) / 1000, _ref(job, payload)
        match decision:
            case Succeed(_, value):
                shown = "" if value is None or not self._log_results else truncate(repr(value))
                self._log.info("%6.2fs ← %s ● %s", took, ref, shown)
            case RetryAt(due_ms, error) if error.type.endswith("worker.Retry"):
                wait = max(0, due_ms - now_ms()) / 1000
                self._log.info("%6.2fs ↻ %s retrying job in %0.2fs", took, ref, wait)
            case RetryAt() | Requeue() | Drop():
                self._log.info("%6.2fs ↻ %s cancelled, will be run again", took, ref)
            case Abort():
                before = " before start" if job.is_aborted else ""
                self._log.info("%6.2fs ⊘ %s aborted%s", took, ref, before)
            case Dead(error, exception):
                self._dead(job, payload, error.type, error.message, exception)

    def worker_stopping(self, signal: str, counts: dict[str, int], phase: Phase) -> None:
        """Log that the worker stops."""
        wait = ", wait complete" if phase == "waited" else ""
        end = "to be completed" if phase == "waiting" else "ongoing to cancel"
        done, failed, again, running = counts["complete"], counts["failed"], counts["retried"], counts["running"]
        line = "shutdown on %s%s ◆ %d jobs complete ◆ %d failed ◆ %d retries ◆ %d %s"
        self._log.info(line, signal, wait, done, failed, again, running, end)

    def _dead(self, job: Claimed, payload: Payload, kind: str, message: str, exception: Any) -> None:
        took, ref = (now_ms() - job.claimed_ms) / 1000, _ref(job, payload)
        match kind:
            case "JobExpired":
                self._log.warning("job %s expired", job.id)
            case "Undecodable":
                self._log.error("deserializing job %s failed", job.id, exc_info=exception)
            case "UnknownFunction":
                self._log.warning("job %s, function %r not found", job.id, payload.function)
            case "AttemptsUsedUp":
                self._log.warning("%6.2fs ! %s max retries %d exceeded", took, ref, job.attempt)
            case "WorkerLost":
                self._log.warning("%6.2fs ! %s %s", took, ref, message)
            case _:
                extra = getattr(exception, "extra", None)
                extra = extra() if callable(extra) else extra
                name = type(exception).__name__ if exception is not None else kind
                line = "%6.2fs ! %s failed, %s: %s"
                self._log.error(line, took, ref, name, message, exc_info=exception, extra={"extra": extra})


def _ref(job: Claimed, payload: Payload) -> str:
    return payload.function if payload.function.startswith("cron:") else f"{job.id}:{payload.function}"
