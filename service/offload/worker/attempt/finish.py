"""Writes how attempts ended: all that ended since the last round trip in one call, each fenced by its token.

While Redis is away endings wait here; they are written when it is back, if the lease still stands.
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
    """Gathers endings and writes them in batches."""

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

    def submit(self, ending: AttemptEnd) -> None:
        """Have an ending written soon."""
        self._add(ending, None)

    async def write(self, ending: AttemptEnd) -> bool:
        """Have an ending written; return True when it is, False when the lease no longer stood."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._add(ending, written)
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

    def _add(self, ending: AttemptEnd, written: "asyncio.Future[bool] | None") -> None:
        self._waiting.append((ending, written))
        self._idle.clear()
        self._arrived.set()

    async def _write(self, batch: "list[tuple[AttemptEnd, asyncio.Future[bool] | None]]") -> None:
        answers = await self._answers([ending for ending, _ in batch])
        for (ending, written), was_written in zip(batch, answers, strict=True):
            if not was_written:
                self.refused += 1
                log.warning("finish_refused", job_id=ending.id, verb=ending.verb, reason="another has taken the job")
            if written is not None and not written.done():
                written.set_result(was_written)

    async def _answers(self, endings: list[AttemptEnd]) -> list[bool]:
        """Write a batch, as often as it takes Redis to serve; notes of the jobs go first."""
        while True:
            try:
                if not self._notes.is_empty:
                    await self._notes.flush()
                answers = await leases.finish(self._redis, self._worker, endings)
            except Unavailable as error:
                await self._outage.pause("finish", error)
            else:
                self._outage.served("finish")
                return answers


def ending(
    job: Claimed,
    payload: Payload,
    decision: Decision,
    codec: Codec,
    retention: Retention,
    keep_result: float,
    fields: tuple[tuple[str, str | int | float], ...] = (),
    loop: LoopUsage = NO_USAGE,
) -> AttemptEnd | None:
    """Turn a decision into what is written; None where nothing may be. `keep_result` in seconds, -1 for ever."""
    result_ttl_ms = -1 if keep_result < 0 else round(keep_result * 1000)
    ended_ms = max(now_ms(), job.claimed_ms)

    def result(**about: Any) -> bytes:
        if result_ttl_ms == 0:
            return b""
        return codec.encode_result(
            job.id, queue_key(job.queue), payload, job.attempt, job.claimed_ms, ended_ms, **about
        )

    def finished(verb: str, **about: Any) -> AttemptEnd:
        return AttemptEnd(id=job.id, token=job.token, verb=verb, function=payload.function, loop=loop, **about)

    match decision:
        case Succeed(value_json, value):
            ttls = {"result_ttl_ms": result_ttl_ms, "record_ttl_ms": retention.whole_record_ttl_ms(result_ttl_ms)}
            return finished("succeeded", result=result(result=value_json, value=value), fields=fields, **ttls)
        case RetryAt(due_ms, error):
            error = _known(error, payload.function)
            failed = _attempt(job, ended_ms, error)
            return finished("retry", due_ms=due_ms, failed_attempt=failed, fields=fields, fingerprint=error.fingerprint)
        case Dead(error, exception, was_tried):
            error = _known(error, payload.function)
            data = result(error=error, exception=exception)
            said = (*fields, ("error", orjson.dumps(error.as_dict()).decode()))
            failed = _attempt(job, ended_ms, error) if was_tried else b""
            about: dict[str, Any] = {
                "result_ttl_ms": result_ttl_ms,
                "record_ttl_ms": retention.dead_ttl_ms,
                "fields": said,
            }
            return finished("dead", result=data, failed_attempt=failed, fingerprint=error.fingerprint, **about)
        case Abort():
            error = ErrorInfo("CancelledError", "aborted while it ran")
            data = result(error=error, exception=asyncio.CancelledError())
            ttls = {"result_ttl_ms": result_ttl_ms, "record_ttl_ms": retention.dead_ttl_ms}
            return finished("aborted", result=data, fields=fields, **ttls)
        case Requeue(due_ms, why):
            told = (*fields, ("requeue_reason", why)) if why else fields
            return finished("requeued", due_ms=due_ms or 0, fields=told)
        case Drop():
            return None


def _known(error: ErrorInfo, function: str) -> ErrorInfo:
    """Return the error with its fingerprint, by which jobs that failed in the same way are found."""
    return replace(error, fingerprint=fingerprint(function, error.type, error.message, error.traceback))


def _attempt(job: Claimed, ended_ms: int, error: ErrorInfo) -> bytes:
    worker = job.token.rpartition(":")[0]
    about = {"attempt": job.attempt, "started": job.claimed_ms, "ended": ended_ms, "worker": worker}
    return orjson.dumps({**about, "error": error.as_dict()})
