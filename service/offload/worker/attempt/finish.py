"""Writes the ends of attempts: all since the last round trip in one call, each fenced by its token.

While Redis does not serve they wait here; they are written when it does again, if the lease is still held.
"""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import structlog

from offload.domain.clock import now_ms
from offload.domain.errors import ErrorInfo, Unavailable
from offload.domain.fingerprints import fingerprint
from offload.domain.policy import Abort, Dead, Decision, Drop, Requeue, RetryAt, Succeed
from offload.domain.retention import Retention
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.jobs import leases
from offload.store.jobs.codec import Codec, Payload
from offload.store.jobs.leases import NO_USAGE, AttemptEnd, Claimed, LoopUsage
from offload.store.keys import queue_key
from offload.worker.attempt.notes import Notes

log = structlog.get_logger(__name__)
_BATCH = 500


class Finisher:
    """Gathers the ends of attempts and writes them in batches."""

    def __init__(self, redis: RedisClient, worker: str, notes: Notes, outage: RedisOutage) -> None:
        self._redis = redis
        self._worker = worker
        self._notes = notes
        self._outage = outage
        self._waiting: list[tuple[AttemptEnd, asyncio.Future[bool] | None]] = []
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.refused = 0

    def submit(self, attempt_end: AttemptEnd) -> None:
        """Write an end soon; returns at once."""
        self._append(attempt_end, None)

    async def write(self, attempt_end: AttemptEnd) -> bool:
        """Write an end; return True when it is written, False if the lease was lost."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._append(attempt_end, written)
        return await asyncio.shield(written)

    async def drained(self) -> None:
        """Return when nothing is waiting to be written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                await self._write(batch)
            self._idle.set()

    def _append(self, attempt_end: AttemptEnd, written: "asyncio.Future[bool] | None") -> None:
        self._waiting.append((attempt_end, written))
        self._idle.clear()
        self._arrived.set()

    async def _write(self, batch: "list[tuple[AttemptEnd, asyncio.Future[bool] | None]]") -> None:
        answers = await self._write_until_served([attempt_end for attempt_end, _ in batch])
        for (attempt_end, written), was_written in zip(batch, answers, strict=True):
            if not was_written:
                self.refused += 1
                log.warning(
                    "finish_refused", job_id=attempt_end.id, verb=attempt_end.verb, reason="another has taken the job"
                )
            if written is not None and not written.done():
                written.set_result(was_written)

    async def _write_until_served(self, ends: list[AttemptEnd]) -> list[bool]:
        """Write a batch, again and again until Redis serves; the notes of the jobs go first."""
        while True:
            try:
                if not self._notes.is_empty:
                    await self._notes.flush()
                answers = await leases.finish(self._redis, self._worker, ends)
            except Unavailable as error:
                await self._outage.pause("finish", error)
            else:
                self._outage.served("finish")
                return answers


def attempt_end_of(
    job: Claimed,
    payload: Payload,
    decision: Decision,
    codec: Codec,
    retention: Retention,
    keep_result: float,
    fields: tuple[tuple[str, str | int | float], ...] = (),
    loop: LoopUsage = NO_USAGE,
) -> AttemptEnd | None:
    """Return the end of an attempt as it is written; None if nothing is. `keep_result` in seconds, -1 for ever."""
    result_ttl_ms = -1 if keep_result < 0 else round(keep_result * 1000)
    ended_ms = max(now_ms(), job.claimed_ms)

    def result(**content: Any) -> bytes:
        if result_ttl_ms == 0:
            return b""
        return codec.encode_result(
            job.id, queue_key(job.queue), payload, job.attempt, job.claimed_ms, ended_ms, **content
        )

    def end(verb: str, **fields_of_verb: Any) -> AttemptEnd:
        return AttemptEnd(id=job.id, token=job.token, verb=verb, function=payload.function, loop=loop, **fields_of_verb)

    match decision:
        case Succeed(value_json, value):
            record_ttl_ms = retention.whole_record_ttl_ms(result_ttl_ms)
            data = result(result=value_json, value=value)
            return end(
                "succeeded", result=data, result_ttl_ms=result_ttl_ms, record_ttl_ms=record_ttl_ms, fields=fields
            )
        case RetryAt(due_ms, error):
            error = _with_fingerprint(error, payload.function)
            failed = _failed_attempt(job, ended_ms, error)
            return end("retry", due_ms=due_ms, failed_attempt=failed, fields=fields, fingerprint=error.fingerprint)
        case Dead(error, exception, was_tried):
            error = _with_fingerprint(error, payload.function)
            data = result(error=error, exception=exception)
            fields_dead = (*fields, ("error", orjson.dumps(error.as_dict()).decode()))
            failed = _failed_attempt(job, ended_ms, error) if was_tried else b""
            kept: dict[str, Any] = {
                "result_ttl_ms": result_ttl_ms,
                "record_ttl_ms": retention.dead_ttl_ms,
                "fields": fields_dead,
            }
            return end("dead", result=data, failed_attempt=failed, fingerprint=error.fingerprint, **kept)
        case Abort():
            error = ErrorInfo("CancelledError", "aborted while it ran")
            data = result(error=error, exception=asyncio.CancelledError())
            return end(
                "aborted", result=data, result_ttl_ms=result_ttl_ms, record_ttl_ms=retention.dead_ttl_ms, fields=fields
            )
        case Requeue(due_ms, why):
            fields_requeued = (*fields, ("requeue_reason", why)) if why else fields
            return end("requeued", due_ms=due_ms or 0, fields=fields_requeued)
        case Drop():
            return None


def _with_fingerprint(error: ErrorInfo, function: str) -> ErrorInfo:
    """Return the error with its fingerprint, by which jobs that failed in the same way are found."""
    return replace(error, fingerprint=fingerprint(function, error.type, error.message, error.traceback))


def _failed_attempt(job: Claimed, ended_ms: int, error: ErrorInfo) -> bytes:
    worker = job.token.rpartition(":")[0]
    attempt = {"attempt": job.attempt, "started": job.claimed_ms, "ended": ended_ms, "worker": worker}
    return orjson.dumps({**attempt, "error": error.as_dict()})
