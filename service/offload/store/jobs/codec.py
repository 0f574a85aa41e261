"""The bytes in arq's keys: a job's payload and its result, in JSON or, if so configured, in pickle.

Both are arq's own dictionaries (`t f a k et` and `t f a k et s r st ft q id`, see arq.jobs), so that stock producers,
workers and `arq.jobs.Job` read ours and we read theirs. Pickle is never read unless the serializer is `pickle`.
With encryption the bytes are sealed around the serializer, and what was stored before is still read.
"""

import asyncio
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from arq.jobs import Deserializer, Serializer, serialize_result

from offload.domain.arguments import encode_arguments
from offload.domain.errors import ErrorInfo, OffloadError
from offload.store.jobs.encryption import CannotOpen, Sealer, is_sealed

_PICKLE = b"\x80"  # the first byte of pickle protocol 2 and later; JSON starts with "{"


class Undecodable(OffloadError):
    """A stored payload or result cannot be read with the configured serializer."""


class KeyMissing(Undecodable):
    """It is encrypted, and the key with `key_id` is not among ours; another process may have it."""

    def __init__(self, key_id: str, message: str) -> None:
        self.key_id = key_id
        super().__init__(message)


class RemoteError(RuntimeError):
    """A job's error, for arq's `Job.result()` under pickle: raised there with the job's own type and message."""


@dataclass(slots=True)
class Payload:
    """A job as arq stores it. `job_try` is what a producer asked the first attempt to count as, mostly None.

    Nothing changes it. It is not frozen: one is made for each job, and frozen ones are slower.
    """

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    job_try: int | None
    enqueued_ms: int


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result as arq stores it; `value` is the result, or the error where `success` is false."""

    payload: Payload
    success: bool
    value: Any
    started_ms: int
    finished_ms: int


@dataclass(frozen=True)
class Codec:
    """Encodes and decodes by one serializer; custom functions are those of an arq `Worker(job_serializer=…)`."""

    kind: Literal["json", "pickle", "custom"] = "json"
    dumps: Callable[[dict[str, Any]], bytes] = encode_arguments
    loads: Callable[[bytes], dict[str, Any]] = orjson.loads
    sealer: Sealer = field(default_factory=lambda: Sealer(()))

    @classmethod
    def named(cls, kind: str, sealer: Sealer | None = None) -> "Codec":
        """Return the codec of OFFLOAD_SERIALIZER: `json` or `pickle`. The pickle one reads JSON as well."""
        sealer = sealer or Sealer(())
        if kind == "pickle":
            return cls("pickle", pickle.dumps, _loads_either, sealer)
        return cls(sealer=sealer)

    @classmethod
    def custom(cls, dumps: Serializer | None, loads: Deserializer | None) -> "Codec":
        """Return the codec of an arq worker: its own functions, and pickle if it has none, as arq does.

        If the functions are the `serialize` and `deserialize` of a codec, it is that one.
        """
        if isinstance(ours := getattr(dumps, "__self__", None), Codec):
            return ours
        if dumps is None and loads is None:
            return cls.named("pickle")
        if dumps is json_serializer and loads is json_deserializer:
            return cls()
        return cls("custom", dumps or pickle.dumps, loads or pickle.loads)

    def encode_job(
        self, function: str, kwargs: Mapping[str, Any], enqueued_ms: int, *, encoded: bytes | None = None
    ) -> bytes:
        """Serialise a new job; arguments that JSON cannot carry raise TypeError naming the type.

        `encoded` says that they are JSON values, and how those are serialised.
        """
        if self.kind == "json":
            given = kwargs if encoded is None else orjson.Fragment(encoded)
            data = encode_arguments({"t": None, "f": function, "a": (), "k": given, "et": enqueued_ms})
            return self.sealer.seal(data) if self.sealer else data
        given = dict(kwargs) if encoded is not None else plain(dict(kwargs))
        return self.sealer.seal(self.dumps({"t": None, "f": function, "a": (), "k": given, "et": enqueued_ms}))

    def serialize(self, document: dict[str, Any]) -> bytes:
        """Serialise one of arq's dictionaries: for `create_pool(job_serializer=…)`, a worker's, `arq.jobs.Job`."""
        return self.sealer.seal(json_serializer(document) if self.kind == "json" else self.dumps(document))

    def deserialize(self, data: bytes) -> dict[str, Any]:
        """Read the output of `serialize`, and data written before encryption was configured; raises Undecodable."""
        return self._load(data)

    def decode_job(self, data: bytes) -> Payload:
        """Read a payload; raise Undecodable that says which serializer it was tried with."""
        try:
            found = self._load(data)
            return Payload(found["f"], tuple(found["a"]), dict(found["k"]), found["t"], found["et"])
        except Undecodable:
            raise
        except Exception as error:
            msg = f"the payload cannot be read as {self.kind}: {type(error).__name__}: {error}"
            raise Undecodable(msg) from error

    def encode_result(
        self,
        job_id: str,
        queue_key: str,
        payload: Payload,
        attempt: int,
        started_ms: int,
        finished_ms: int,
        *,
        result: bytes | None = None,
        value: Any = None,
        error: ErrorInfo | None = None,
        exception: BaseException | None = None,
    ) -> bytes:
        """Serialise a result: `result` is raw JSON, `value` the object for pickle; an error is data in JSON.

        A value that a custom serializer refuses is replaced as arq does, by the sentence "unable to serialize result".
        """
        if self.kind == "json":
            data = encode_arguments(
                {
                    "t": attempt,
                    "f": payload.function,
                    "a": payload.args,
                    "k": payload.kwargs,
                    "et": payload.enqueued_ms,
                    "s": error is None,
                    "r": orjson.Fragment(result or b"null") if error is None else error.as_dict(),
                    "st": started_ms,
                    "ft": finished_ms,
                    "q": queue_key,
                    "id": job_id,
                }
            )
            return self.sealer.seal(data) if self.sealer else data
        if error is not None:
            value = exception if exception is not None else RemoteError(f"{error.type}: {error.message}")
        elif value is None and result is not None:
            value = orjson.loads(result)
        made = serialize_result(
            payload.function,
            payload.args,
            payload.kwargs,
            attempt,
            payload.enqueued_ms,
            error is None,
            value,
            started_ms,
            finished_ms,
            f"{job_id}:{payload.function}",
            queue_key,
            job_id,
            serializer=self.dumps,
        )
        return self.sealer.seal(made) if made else b""

    def decode_result(self, data: bytes) -> StoredResult:
        """Read a result; raise Undecodable."""
        try:
            found = self._load(data)
            payload = Payload(found["f"], tuple(found["a"]), dict(found["k"]), found["t"], found["et"])
            return StoredResult(payload, found["s"], found["r"], found["st"], found["ft"])
        except Undecodable:
            raise
        except Exception as error:
            msg = f"the result cannot be read as {self.kind}: {type(error).__name__}: {error}"
            raise Undecodable(msg) from error

    def encode_aborted(self, job_id: str, queue_key: str, payload: Payload | None, now_ms: int) -> bytes:
        """Serialise the result of a job aborted before it ran: arq's `Job.abort()` looks for CancelledError."""
        empty = Payload("<unknown>", (), {}, None, now_ms)
        info = ErrorInfo("CancelledError", "aborted before it ran")
        return self.encode_result(
            job_id, queue_key, payload or empty, 0, now_ms, now_ms, error=info, exception=asyncio.CancelledError()
        )

    def _load(self, data: bytes) -> dict[str, Any]:
        if is_sealed(data):
            try:
                data = self.sealer.open(data)
            except CannotOpen as error:
                raise (KeyMissing(error.key_id, str(error)) if error.is_missing else Undecodable(str(error))) from None
        if self.kind == "json" and data[:1] == _PICKLE:
            msg = "it is pickled, and pickle is only read with OFFLOAD_SERIALIZER=pickle"
            raise Undecodable(msg)
        return self.loads(data)


def json_serializer(document: dict[str, Any]) -> bytes:
    """Serialise arq's dictionaries as JSON: for `create_pool(job_serializer=…)` and stock workers on our queues.

    An exception, which a stock worker gives as the result of a job that failed, is written as data.
    """
    if isinstance(error := document.get("r"), BaseException):
        document = {**document, "r": ErrorInfo(type(error).__qualname__, str(error)).as_dict()}
    return encode_arguments(document)


def json_deserializer(data: bytes) -> dict[str, Any]:
    """Read what `json_serializer` wrote."""
    document: dict[str, Any] = orjson.loads(data)
    return document


def plain(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments as plain JSON values, which every worker can unpickle without our classes."""
    decoded: dict[str, Any] = orjson.loads(encode_arguments(kwargs))
    return decoded


def _loads_either(data: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = pickle.loads(data) if data[:1] == _PICKLE else orjson.loads(data)  # noqa: S301 - the setting says so
    return loaded
