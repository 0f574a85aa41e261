"""What a job function is given: who it is, and ways to speak while it runs, the same in all three places.

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

T = TypeVar("T")


@dataclass(slots=True)
class AttemptInfo:
    """What is known of an attempt when it starts; times in ms since the epoch. Travels to child processes.

    Nothing changes one; not frozen, since one is made for each job.
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
        """Count the time of the attempt from now: it waited for a thread or a process until here."""
        if self.timeout is not None:
            self.deadline_ms = now_ms + round(self.timeout * 1000)


class JobHandle:
    """A job put in by a job: its id is known at once; on the loop, `await` it to know that it is stored.

    Where its unique key has a job already, `id` is that one's from then on.
    Whether awaited or not, the attempt that made it does not end before it is stored.
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

    def note(self, kind: str, said: dict[str, Any]) -> None:
        """Pass on progress or a log line; returns at once."""

    def enqueue(self, function: str, args: dict[str, Any], options: EnqueueOptions) -> JobHandle:
        """Store a job."""

    def keep(self, name: str, data: bytes, media_type: str | None) -> Artifact:
        """Store a file."""

    def read(self, artifact_id: str) -> tuple[Artifact, bytes]:
        """Read a stored file; blocks."""

    def is_aborted(self) -> bool:
        """Whether somebody asked the job to stop."""


class LoopOnly(Protocol):
    """What only a job on the event loop can use."""

    @property
    def redis(self) -> "ArqRedis":
        """The worker's connection pool."""

    @property
    def http(self) -> "httpx.AsyncClient":
        """The worker's HTTP client."""

    async def to_thread(self, f: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a blocking step."""

    async def to_process(self, f: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a CPU-bound step."""

    async def prune(self) -> int:
        """Take out what has outlived its keep."""

    async def stats(self) -> dict[str, Any]:
        """Count jobs by status and by function."""

    async def callback_event(self) -> dict[str, Any]:
        """Return the event that a callback tells of."""


class JobLogger:
    """The job's own log: each line goes to the worker's log and, bounded, into the job's record and events."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def debug(self, event: str, **fields: Any) -> None:
        """Note something for whoever looks very closely."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Note something ordinary."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Note something that somebody should look at today."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Note that something was lost."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        said = {"level": level, "message": event, "at": now_ms()}
        self._port.note("log", {**said, "fields": fields} if fields else said)


class JobContext:
    """The first argument of every job function.

    `progress`, `log`, `enqueue`, `artifact`, `read_artifact` and `aborted` work wherever the function runs; `redis`,
    `http`, `to_thread` and `to_process` on the event loop only.
    """

    def __init__(self, facts: AttemptInfo, port: Port, loop_only: LoopOnly | None = None) -> None:
        self._facts = facts
        self._port = port
        self._loop_only = loop_only
        self.log = JobLogger(port)

    @property
    def id(self) -> str:
        """The job's id, the same in every attempt."""
        return self._facts.id

    @property
    def function(self) -> str:
        """The name of the job function."""
        return self._facts.function

    @property
    def queue(self) -> str:
        """The queue the job came from."""
        return self._facts.queue

    @property
    def attempt(self) -> int:
        """Which run of the job this is, from 1."""
        return self._facts.attempt

    @property
    def max_tries(self) -> int:
        """How many attempts the job has at most."""
        return self._facts.max_tries

    @property
    def enqueued_at(self) -> datetime:
        """When the job was put in."""
        return datetime.fromtimestamp(self._facts.enqueued_ms / 1000, UTC)

    @property
    def deadline(self) -> datetime | None:
        """When this attempt will be stopped: by its timeout, or by the job's own deadline."""
        at = self._facts.deadline_ms
        return None if at is None else datetime.fromtimestamp(at / 1000, UTC)

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that came with the job."""
        return self._facts.traceparent

    @property
    def settings(self) -> "Settings":
        """The settings of this process."""
        from offload.settings import get_settings  # noqa: PLC0415 - read when asked for

        return get_settings()

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        """Say how far the job is: `fraction` from 0 to 1 (None: unknown), and in words. Returns at once."""
        if fraction is not None:
            fraction = min(1.0, max(0.0, float(fraction)))
        self._port.note("progress", {"fraction": fraction, "message": message, "at": now_ms()})

    @property
    def aborted(self) -> bool:
        """Whether somebody asked this job to stop, or its time is up; long loops in `def` jobs look at it."""
        return self._port.is_aborted()

    def raise_if_aborted(self) -> None:
        """Raise Aborted if somebody asked this job to stop."""
        if self.aborted:
            raise Aborted("the job was asked to stop")

    def enqueue(self, function: str, /, _options: EnqueueOptions | None = None, **arguments: Any) -> JobHandle:
        """Enqueue another job. In `def` jobs it is stored when this returns; on the loop, when the handle is awaited.

        Raises UnknownFunction, InvalidArguments. Raises MaybeEnqueued where Redis did not confirm it: the job may be
        stored all the same. Its `id` is in the error, and enqueuing again with that id adds no second one. Raises
        plain Unavailable in a `def` job where the worker did not take the request up in time; nothing is then enqueued,
        also not later. A job id of your own, `EnqueueOptions(job_id=f"{ctx.id}-mail")`, is enqueued once over all
        attempts of this job.
        """
        return self._port.enqueue(function, arguments, _options or EnqueueOptions())

    def artifact(self, name: str, data: bytes, media_type: str | None = None) -> Artifact:
        """Keep a file that the job made, as long as its record; return what to fetch it by."""
        return self._port.keep(name, bytes(data), media_type)

    def read_artifact(self, artifact_id: str) -> tuple[Artifact, bytes]:
        """Return a kept file; blocks, so an async job calls it by `await ctx.to_thread(ctx.read_artifact, id)`."""
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
        """Take out records and files that have outlived their keep; return how many records went."""
        return await self._on_loop("prune").prune()

    async def stats(self) -> dict[str, Any]:
        """Return counts by status, queues, and endings by function over the last 24 hours."""
        return await self._on_loop("stats").stats()

    async def callback_event(self) -> dict[str, Any]:
        """Return what a callback tells: `type` and `timestamp` of the end that put it in, `data` of the job that ended.

        That is its document as it stands now. Raises NotFound where no end put this job in, or where the job that
        ended is no longer kept.
        """
        return await self._on_loop("callback_event").callback_event()

    def _on_loop(self, what: str) -> LoopOnly:
        if self._loop_only is None:
            msg = f"ctx.{what} is for async def jobs; {self.function} runs elsewhere"
            raise InvalidDefinition(msg)
        return self._loop_only
