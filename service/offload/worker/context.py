"""The context of a job function: its identity, and ways to report and ask while it runs, the same in all three places.

`JobContext` holds no transport; its `Port` does: directly on the loop, from a thread, or through a child's pipe.
"""

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from offload.domain.artifacts import Artifact
from offload.domain.clock import now_ms
from offload.domain.errors import Aborted, InvalidDefinition
from offload.domain.functions import EnqueueOptions

if TYPE_CHECKING:
    import httpx
    from arq.connections import ArqRedis

    from offload.settings import Settings
    from offload.worker.attempt.ports import LoopPort

T = TypeVar("T")


@dataclass(slots=True)
class AttemptInfo:
    """The identity and limits of an attempt; times in ms since the epoch. It is sent to child processes.

    Only `begin` changes it; not frozen, since one is made for each job.
    """

    id: str
    function: str
    queue: str
    attempt: int
    max_tries: int
    enqueued_ms: int
    deadline_ms: int | None
    traceparent: str | None = None
    timeout: float | None = None

    def begin(self, now_ms: int) -> None:
        """Count the timeout of the attempt from now, after it has waited for a thread or a process."""
        if self.timeout is not None:
            self.deadline_ms = now_ms + round(self.timeout * 1000)


class JobHandle:
    """A job enqueued by a job: its id is known at once; on the loop, `await` the handle to know that it is stored.

    Where its unique key has a job already, `id` is the id of that job once this has been awaited.
    Awaited or not, the attempt that made it does not end before it is stored.
    """

    def __init__(self, job_id: str, stored: Awaitable[Any] | None = None) -> None:
        self.id = job_id
        self._stored = stored

    def __await__(self) -> Generator[Any, None, "JobHandle"]:
        if self._stored is not None:
            self.id = (yield from self._stored.__await__()).id
        return self


class Port(Protocol):
    """How a context reaches the worker from where the function runs."""

    def note(self, kind: str, content: dict[str, Any]) -> None:
        """Pass on progress or a log line; returns at once."""

    def enqueue(self, function: str, args: dict[str, Any], options: EnqueueOptions) -> JobHandle:
        """Enqueue a job."""

    def keep(self, name: str, data: bytes, media_type: str | None) -> Artifact:
        """Store a file."""

    def read(self, artifact_id: str) -> tuple[Artifact, bytes]:
        """Read a stored file; blocks."""

    def is_aborted(self) -> bool:
        """Return True when the job was asked to stop."""


class JobLogger:
    """The job's own log: each line goes to the worker's log and, bounded, into the job's record and events."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def debug(self, event: str, **fields: Any) -> None:
        """Write a line for debugging."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write a line about normal operation."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write a line that an operator should look at today."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Write a line about a failure."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        line: dict[str, Any] = {"level": level, "message": event, "at": now_ms()}
        self._port.note("log", {**line, "fields": fields} if fields else line)


class JobContext:
    """The first argument of every job function.

    `progress`, `log`, `enqueue`, `artifact`, `read_artifact` and `aborted` work wherever the function runs; `redis`,
    `http`, `to_thread` and `to_process` on the event loop only.
    """

    def __init__(self, attempt_info: AttemptInfo, port: Port, loop_port: "LoopPort | None" = None) -> None:
        self._attempt_info = attempt_info
        self._port = port
        self._loop_port = loop_port
        self.log = JobLogger(port)

    @property
    def id(self) -> str:
        """The job's id, the same in every attempt."""
        return self._attempt_info.id

    @property
    def function(self) -> str:
        """The name of the job function."""
        return self._attempt_info.function

    @property
    def queue(self) -> str:
        """The queue the job came from."""
        return self._attempt_info.queue

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._attempt_info.attempt

    @property
    def max_tries(self) -> int:
        """The maximum number of attempts of the job."""
        return self._attempt_info.max_tries

    @property
    def enqueued_at(self) -> datetime:
        """When the job was enqueued."""
        return datetime.fromtimestamp(self._attempt_info.enqueued_ms / 1000, UTC)

    @property
    def deadline(self) -> datetime | None:
        """When this attempt will be stopped: by its timeout, or by the job's own deadline."""
        at = self._attempt_info.deadline_ms
        return None if at is None else datetime.fromtimestamp(at / 1000, UTC)

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that came with the job."""
        return self._attempt_info.traceparent

    @property
    def settings(self) -> "Settings":
        """The settings of this process."""
        from offload.settings import get_settings  # noqa: PLC0415 - read when asked for

        return get_settings()

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        """Report progress: `fraction` from 0 to 1 (None: unknown), and a message. Returns at once."""
        if fraction is not None:
            fraction = min(1.0, max(0.0, float(fraction)))
        self._port.note("progress", {"fraction": fraction, "message": message, "at": now_ms()})

    @property
    def aborted(self) -> bool:
        """True when this job was asked to stop, or its time is up; long loops in `def` jobs should check it."""
        return self._port.is_aborted()

    def raise_if_aborted(self) -> None:
        """Raise Aborted if this job was asked to stop, or its time is up."""
        if self.aborted:
            raise Aborted("the job was asked to stop")

    def enqueue(self, function: str, /, _options: EnqueueOptions | None = None, **arguments: Any) -> JobHandle:
        """Enqueue another job. In `def` jobs it is stored when this returns; on the loop, when the handle is awaited.

        Raises UnknownFunction, InvalidArguments. Raises MaybeEnqueued if Redis did not confirm it: the job may be
        stored all the same. Its `id` is in the error, and enqueuing again with that id adds no second one. Raises
        plain Unavailable in a `def` job if the worker did not accept the request in time; nothing is enqueued then, nor
        later. A job id of your own, `EnqueueOptions(job_id=f"{ctx.id}-mail")`, is enqueued once over all attempts of
        this job.
        """
        return self._port.enqueue(function, arguments, _options or EnqueueOptions())

    def artifact(self, name: str, data: bytes, media_type: str | None = None) -> Artifact:
        """Store a file that the job made, for as long as its record; return its description, with its id."""
        return self._port.keep(name, bytes(data), media_type)

    def read_artifact(self, artifact_id: str) -> tuple[Artifact, bytes]:
        """Return a stored file; blocks, so an async job calls it by `await ctx.to_thread(ctx.read_artifact, id)`."""
        return self._port.read(artifact_id)

    @property
    def redis(self) -> "ArqRedis":
        """The worker's Redis connection pool, as arq's `ctx["redis"]`."""
        return self._on_loop("redis").redis

    @property
    def http(self) -> "httpx.AsyncClient":
        """An HTTP client that all jobs of the worker share."""
        return self._on_loop("http").http

    async def to_thread(self, f: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run one blocking step in the queue's threads, and await it."""
        return await self._on_loop("to_thread").to_thread(f, *args, **kwargs)

    async def to_process(self, f: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run one CPU-bound step, a function of a module, in the queue's processes, and await it."""
        return await self._on_loop("to_process").to_process(f, *args, **kwargs)

    async def prune(self) -> int:
        """Remove records and files that are past their TTL; return the number of records removed."""
        return await self._on_loop("prune").prune()

    async def stats(self) -> dict[str, Any]:
        """Return counts by status, queues, and endings by function over the last 24 hours."""
        return await self._on_loop("stats").stats()

    async def callback_event(self) -> dict[str, Any]:
        """Return the content of a callback: `type` and `timestamp` of the end that enqueued it, `data` of that job.

        `data` is the document of the job that ended, as it is now. Raises NotFound if this job was not enqueued by
        the end of another, or where that one is no longer kept.
        """
        return await self._on_loop("callback_event").callback_event()

    def _on_loop(self, attribute: str) -> "LoopPort":
        if self._loop_port is None:
            msg = f"ctx.{attribute} is for async def jobs; {self.function} runs elsewhere"
            raise InvalidDefinition(msg)
        return self._loop_port
