"""Reads of job records: one with its failed attempts and log lines, or a page of them."""

from collections.abc import Sequence
from typing import Any

import orjson

from offload.domain import executors
from offload.domain.callbacks import callback_id
from offload.domain.errors import ErrorInfo
from offload.domain.filters import Filter
from offload.domain.functions import Functions
from offload.domain.records import FailedAttempt, JobRecord, Progress
from offload.domain.security.secrets import mask
from offload.domain.states import TERMINAL, Status, as_seen
from offload.store import keys
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.jobs import listing
from offload.store.jobs.batched_reads import RecordBatcher
from offload.store.jobs.codec import Codec, KeyMissing, Payload, StoredResult, Undecodable, plain
from offload.store.jobs.listing import Cursor

_PAGE_SECONDS = 0.015  # of looking: what is left of 50 ms is for reading the jobs, sending them, and a busy machine
_ENDED = frozenset(status.encode() for status in TERMINAL)


class Records:
    """Reads job records; `functions` says which arguments are secret."""

    def __init__(self, redis: RedisClient, codec: Codec, functions: Functions) -> None:
        self._redis = redis
        self._looks = RecordBatcher(redis)
        self._codec = codec
        self._functions = functions

    def knows(self, function: str | None) -> bool:
        """Return True for a function with known secret arguments."""
        return function in self._functions

    async def get(self, job_id: str, now_ms: int) -> JobRecord | None:
        """Return one job, with its failed attempts and log lines, or None for an unknown id."""
        return self._record(job_id, await self._looks.at(job_id), now_ms)

    async def get_many(self, ids: list[str], now_ms: int) -> list[JobRecord]:
        """Return the jobs of these ids that still exist, in their order, without history."""
        return [record for record in await self._load(ids, now_ms) if record is not None]

    async def list_jobs(
        self, which: Filter, limit: int, cursor: str | None, now_ms: int
    ) -> tuple[list[JobRecord], str | None]:
        """Return a page of what fits, newest first, and the cursor of the next; raises InvalidOptions for a bad cursor.

        It may have fewer jobs, even none, before the last one, where what fits is hard to find.
        """
        piece = await listing.walk(self._redis, which, limit, Cursor.read(cursor), seconds=_PAGE_SECONDS)
        found = dict(zip(piece.ids, await self._listed(piece.ids, now_ms), strict=True))
        if lost := [one for one, record in found.items() if record is None]:
            await listing.sweep(self._redis, which, lost)
        fits = [one for one in found.values() if one is not None and which.status in (None, one.status)]
        return fits, str(piece.following) if piece.following else None

    async def result(self, job_id: str) -> bytes | None:
        """Return the raw bytes of a stored result, or None."""
        with reaching_redis():
            data: bytes | None = await self._redis.get(keys.ARQ_RESULT + job_id)
        return data

    async def _load(self, ids: list[str], now_ms: int) -> list[JobRecord | None]:
        if not ids:
            return []
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.hgetall(keys.RECORD + job_id)
                pipe.get(keys.ARQ_JOB + job_id)
                pipe.get(keys.ARQ_RESULT + job_id)
            rows = await pipe.execute()
        return [self._record(job_id, rows[i * 3 : i * 3 + 3], now_ms) for i, job_id in enumerate(ids)]

    async def _listed(self, ids: Sequence[str], now_ms: int) -> list[JobRecord | None]:
        """Load jobs for a list: without history, and without results but where a stock worker ended a job."""
        if not ids:
            return []
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.hgetall(keys.RECORD + job_id)
            pipe.mget([keys.ARQ_JOB + job_id for job_id in ids])
            *stored, payloads = await pipe.execute()
            is_ended = [bool(row) and row.get(b"status") not in _ENDED for row in stored]
            without = [i for i, payload in enumerate(payloads) if payload is None and is_ended[i]]
            results = await self._redis.mget([keys.ARQ_RESULT + ids[i] for i in without]) if without else []
        by_stock = dict(zip(without, results, strict=True))
        return [self._record(job_id, [stored[i], payloads[i], by_stock.get(i)], now_ms) for i, job_id in enumerate(ids)]

    def _record(self, job_id: str, row: list[Any], now_ms: int) -> JobRecord | None:
        stored: dict[str, Any] = {k.decode(): v for k, v in row[0].items()}
        payload_bytes, result_bytes = row[1] or stored.get("payload"), row[2]
        expires = _number(stored.get("expires"))
        if not stored and not payload_bytes and not result_bytes:
            return None
        if expires is not None and expires <= now_ms and not result_bytes:
            return None
        payload, result, missing_key = self._decode(payload_bytes, result_bytes)
        if result is not None:
            payload = result.payload
        due_ms = _number(stored.get("due"))
        status = _status(stored, result)
        options = orjson.loads(stored.get("options") or b"{}")
        function = _text(stored.get("function")) or (payload.function if payload else None)
        ended_ms = _number(stored.get("finished")) or (result.finished_ms if result else None)
        return JobRecord(
            id=job_id,
            function=function,
            queue=_text(stored.get("queue")) or "default",
            status=as_seen(status, due_ms, now_ms),
            attempt=int(stored.get("attempt", 0)),
            max_tries=int(stored["max_tries"]) if "max_tries" in stored else None,
            enqueued_ms=_number(stored.get("enqueued")) or (payload.enqueued_ms if payload else None),
            due_ms=due_ms,
            started_ms=_number(stored.get("started")) or (result.started_ms if result else None),
            finished_ms=ended_ms,
            expires_ms=expires,
            deadline_ms=options.get("deadline"),
            timeout=_number(stored.get("timeout"), scale=0.001),
            worker=_text(stored.get("worker")),
            args=self._arguments(function, payload),
            result=orjson.dumps(result.value, default=repr) if result is not None and result.success else None,
            result_expired=status is Status.SUCCEEDED and result is None and missing_key is None,
            missing_key=missing_key,
            error=_error(stored, result),
            progress=_progress(stored.get("progress")),
            tags=tuple(orjson.loads(stored["tags"]) if "tags" in stored else options.get("tags", ())),
            **_loop(stored.get("loop")),
            stalls=int(stored.get("stalls", 0)),
            **(executors.usage_fields(stored["usage"]) if "usage" in stored else {}),
            aborting="aborting" in stored and status is Status.RUNNING,
            parent=options.get("parent"),
            priority=int(stored.get("priority", 0)),
            unique_key=options.get("unique_key"),
            callback_url=options.get("callback_url"),
            callback_id=callback_id(job_id, int(stored["callbacks"])) if "callbacks" in stored else None,
            attempts=tuple(_failed(line) for line in row[3]) if len(row) > 3 else (),
            log=tuple(orjson.loads(line) for line in row[4]) if len(row) > 4 else (),
        )

    def _decode(
        self, payload: bytes | None, result: bytes | None
    ) -> tuple[Payload | None, StoredResult | None, str | None]:
        """Return payload and result as far as they can be read, and the id of the encryption key that is not here."""
        try:
            return (
                self._codec.decode_job(payload) if payload else None,
                self._codec.decode_result(result) if result else None,
                None,
            )
        except KeyMissing as error:
            return None, None, error.key_id
        except Undecodable:
            return None, None, None

    def _arguments(self, function: str | None, payload: Payload | None) -> dict[str, Any] | None:
        if payload is None:
            return None
        known = self._functions.get(function or "")
        if known is not None and not known.is_plain and len(payload.args) <= len(known.arguments.names):
            given = {**dict(zip(known.arguments.names, payload.args, strict=False)), **payload.kwargs}
        else:
            given = {**payload.kwargs, **({"args": list(payload.args)} if payload.args else {})}
        try:
            plain_args = given if self._codec.kind == "json" else plain(given)
        except TypeError:
            plain_args = {"repr": repr(given)}
        masked: dict[str, Any] = mask(plain_args, known.arguments.secret_names if known else frozenset())
        return masked


def _status(stored: dict[str, Any], result: StoredResult | None) -> Status:
    status = Status(stored["status"].decode()) if "status" in stored else Status.QUEUED
    if result is not None and not status.is_terminal:  # a stock worker ended it
        return Status.SUCCEEDED if result.success else Status.DEAD
    return status


def _error(stored: dict[str, Any], result: StoredResult | None) -> ErrorInfo | None:
    if "error" in stored:
        return _as_error(orjson.loads(stored["error"]))
    if stored.get("status") == b"aborted":
        return ErrorInfo("CancelledError", f"aborted {'while' if 'started' in stored else 'before'} it ran")
    if result is None or result.success:
        return None
    if isinstance(result.value, dict) and "type" in result.value:
        return _as_error(result.value)
    return ErrorInfo(type(result.value).__name__, str(result.value))


def _as_error(found: dict[str, Any]) -> ErrorInfo:
    traceback, details, fingerprint = found.get("traceback", ""), found.get("details", {}), found.get("fingerprint", "")
    return ErrorInfo(found["type"], found["message"], traceback, details, fingerprint)


def _failed(line: bytes) -> FailedAttempt:
    found = orjson.loads(line)
    error = _as_error(found["error"])
    return FailedAttempt(found["attempt"], found.get("started"), found["ended"], found.get("worker"), error)


def _progress(data: bytes | None) -> Progress | None:
    if not data:
        return None
    found = orjson.loads(data)
    return Progress(found.get("fraction"), found.get("message"), found["at"])


def _number(data: bytes | None, scale: float | None = None) -> Any:
    if not data:
        return None
    number = float(data)
    return number * scale if scale else (int(number) if number.is_integer() else number)


def _text(data: bytes | None) -> str | None:
    return data.decode() if data else None


def _loop(data: bytes | None) -> dict[str, Any]:
    """Return the use that a job made of the event loop."""
    if not data:
        return {}
    usage = orjson.loads(data)
    return {
        "loop_ms": usage["us"] / 1000,
        "steps": usage["steps"],
        "max_step_ms": usage["max_us"] / 1000,
        "over_budget": usage["over"],
    }
