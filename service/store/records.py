"""Reading jobs back: one record, a page of them, what went wrong in each attempt."""

from typing import Any

import orjson

from service.domain.arguments import mask
from service.domain.errors import ErrorInfo, InvalidOptions
from service.domain.functions import Functions
from service.domain.records import FailedAttempt, JobRecord, Progress
from service.domain.states import Status, as_seen
from service.store import keys, scripts
from service.store.codec import Codec, Payload, StoredResult, Undecodable, plain
from service.store.connection import RedisClient, reaching_redis


class Records:
    """Reads job records; `functions` says which arguments are secret."""

    def __init__(self, redis: RedisClient, codec: Codec, functions: Functions) -> None:
        self._redis = redis
        self._codec = codec
        self._functions = functions

    async def get(self, job_id: str, now_ms: int, *, history: bool = True) -> JobRecord | None:
        """Return one job, with its failed attempts and log lines if `history`, or None for an unknown id."""
        found = await self._load([job_id], now_ms, history=history)
        return found[0]

    async def get_many(self, ids: list[str], now_ms: int) -> list[JobRecord]:
        """Return the jobs of these ids that still exist, in their order, without history."""
        return [record for record in await self._load(ids, now_ms, history=False) if record is not None]

    async def page(
        self, status: Status | None, limit: int, cursor: str | None, now_ms: int
    ) -> tuple[list[JobRecord], str | None]:
        """Return a page of jobs, newest first, and the cursor of the next; raises InvalidOptions for a bad cursor."""
        score, after = _read_cursor(cursor)
        ids, last = await scripts.run(self._redis, "list", 0, status.value if status else "", limit, score, after)
        names = [i.decode() for i in ids]
        following = f"{last.decode()}~{names[-1]}" if len(names) == limit else None
        return await self.get_many(names, now_ms), following

    async def result(self, job_id: str) -> bytes | None:
        """Return the raw bytes of a stored result, or None."""
        with reaching_redis():
            data: bytes | None = await self._redis.get(keys.ARQ_RESULT + job_id)
        return data

    async def _load(self, ids: list[str], now_ms: int, *, history: bool) -> list[JobRecord | None]:
        if not ids:
            return []
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.hgetall(keys.RECORD + job_id)
                pipe.get(keys.ARQ_JOB + job_id)
                pipe.get(keys.ARQ_RESULT + job_id)
                if history:
                    pipe.lrange(keys.ATTEMPTS + job_id, 0, -1)
                    pipe.lrange(keys.LOG + job_id, 0, -1)
            rows = await pipe.execute()
        width = 5 if history else 3
        return [self._record(job_id, rows[i * width : (i + 1) * width], now_ms) for i, job_id in enumerate(ids)]

    def _record(self, job_id: str, row: list[Any], now_ms: int) -> JobRecord | None:
        stored: dict[str, Any] = {k.decode(): v for k, v in row[0].items()}
        payload_bytes, result_bytes = row[1] or stored.get("payload"), row[2]
        expires = _number(stored.get("expires"))
        if not stored and not payload_bytes and not result_bytes:
            return None
        if expires is not None and expires <= now_ms and not result_bytes:
            return None
        payload, result = self._decode(payload_bytes, result_bytes)
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
            result_expired=status is Status.SUCCEEDED and result is None,
            error=_error(stored, result),
            progress=_progress(stored.get("progress")),
            tags=tuple(options.get("tags", ())),
            loop_ms=_number(stored.get("loop_ms")),
            aborting="aborting" in stored and status is Status.RUNNING,
            parent=options.get("parent"),
            attempts=tuple(_failed(line) for line in row[3]) if len(row) > 3 else (),
            log=tuple(orjson.loads(line) for line in row[4]) if len(row) > 4 else (),
        )

    def _decode(self, payload: bytes | None, result: bytes | None) -> tuple[Payload | None, StoredResult | None]:
        try:
            return (
                self._codec.decode_job(payload) if payload else None,
                self._codec.decode_result(result) if result else None,
            )
        except Undecodable:
            return None, None

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


def _read_cursor(cursor: str | None) -> tuple[str, str]:
    if not cursor:
        return "", ""
    score, found, job_id = cursor.partition("~")
    if not found or not score.replace(".", "").isdigit():
        msg = f"{cursor!r} is no cursor; pass the `next` of a page as it is"
        raise InvalidOptions(msg)
    return score, job_id


def _status(stored: dict[str, Any], result: StoredResult | None) -> Status:
    status = Status(stored["status"].decode()) if "status" in stored else Status.QUEUED
    if result is not None and not status.is_terminal:  # a stock worker ended it
        return Status.SUCCEEDED if result.success else Status.DEAD
    return status


def _error(stored: dict[str, Any], result: StoredResult | None) -> ErrorInfo | None:
    if "error" in stored:
        return _as_error(orjson.loads(stored["error"]))
    if result is None or result.success:
        return None
    if isinstance(result.value, dict) and "type" in result.value:
        return _as_error(result.value)
    return ErrorInfo(type(result.value).__name__, str(result.value))


def _as_error(found: dict[str, Any]) -> ErrorInfo:
    return ErrorInfo(found["type"], found["message"], found.get("traceback", ""), found.get("details", {}))


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
