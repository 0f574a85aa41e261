"""The ports of contexts that run in this process: on the event loop, and in a thread (also for a child's requests)."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import orjson

from offload.client import Client, Enqueued, Request
from offload.domain.artifacts import Artifact
from offload.domain.clock import now_ms
from offload.domain.errors import MaybeEnqueued, Unavailable, Unconfirmed
from offload.domain.executors import ExecutorUsage
from offload.domain.functions import EnqueueOptions
from offload.loopwatch.suspects import AtWork
from offload.store.fleet import stats
from offload.store.jobs import artifacts
from offload.store.jobs.artifacts import ArtifactFiles
from offload.store.jobs.ids import new_id
from offload.store.jobs.leases import Claimed
from offload.store.jobs.records import Records
from offload.worker.attempt import callback_event
from offload.worker.attempt.loop_call import Unfinished, call_on_loop
from offload.worker.attempt.notes import Notes
from offload.worker.context import JobHandle
from offload.worker.executors import messages
from offload.worker.executors.executors import Executors
from offload.worker.executors.threads import Owner

if TYPE_CHECKING:
    from arq.connections import ArqRedis

T = TypeVar("T")
Redact = Callable[[dict[str, Any]], dict[str, Any]]
_BEGIN_TIMEOUT = 30.0  # until the event loop takes a call up; it is not carried out later than that
_END_TIMEOUT = 30.0  # and from then until it is done; what asks Redis takes less, by the timeouts of its connection


class Services:
    """The parts of one worker that the contexts of all its jobs share."""

    def __init__(
        self,
        redis: "ArqRedis",
        client: Client,
        notes: Notes,
        files: ArtifactFiles,
        executors: Executors,
        records: Records,
        *,
        artifact_keep_ms: int,
    ) -> None:
        self.redis = redis
        self.client = client
        self.notes = notes
        self.files = files
        self.executors = executors
        self.records = records
        self.artifact_keep_ms = artifact_keep_ms
        self._http: httpx.AsyncClient | None = None

    @property
    def http(self) -> httpx.AsyncClient:
        """The shared HTTP client; it is made when a job first asks for it."""
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=30.0)
        return self._http

    async def close(self) -> None:
        """Close the HTTP client, if it was made."""
        if self._http is not None:
            await self._http.aclose()


class LoopPort:
    """The port of a job on the event loop, and all that such a job can use besides."""

    def __init__(self, services: Services, job: Claimed, loop: asyncio.AbstractEventLoop, redact: Redact) -> None:
        self._services = services
        self._job = job
        self._loop = loop
        self._redact = redact
        self._pending: set[asyncio.Task[Any]] = set()
        self.was_aborted = False
        self.usage: ExecutorUsage | None = None

    def note(self, kind: str, content: dict[str, Any]) -> None:
        self._services.notes.add(self._job, kind, self._redact(content))

    def enqueue(self, function: str, args: dict[str, Any], options: EnqueueOptions) -> JobHandle:
        options = _of_job(options, self._job)
        self._services.client.prepare(Request(function, args, options))
        task = self._start(_enqueue(self._services.client, function, args, options))
        return JobHandle(str(options.job_id), asyncio.shield(task))

    def keep(self, name: str, data: bytes, media_type: str | None) -> Artifact:
        artifact = artifacts.describe(name, data, media_type)
        self._start(self._write(artifact, data))
        return artifact

    def read(self, artifact_id: str) -> tuple[Artifact, bytes]:
        return ThreadPort(self._services, self._job, self._loop, self._redact).read(artifact_id)

    def is_aborted(self) -> bool:
        return self.was_aborted

    async def settle(self) -> None:
        """Wait for all that the job enqueued or stored and did not await; raise the first failure of it."""
        while self._pending:
            done, self._pending = self._pending, set()
            await asyncio.gather(*done)

    @property
    def redis(self) -> "ArqRedis":
        return self._services.redis

    @property
    def http(self) -> httpx.AsyncClient:
        return self._services.http

    async def to_thread(self, f: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        def step() -> T:
            with AtWork(self._job.id, self._job.function):
                return f(*args, **kwargs)

        owner = Owner(self._job.id, self._job.function)
        threads = self._services.executors.threads(self._job.queue)
        return await threads.run_call(step, owner=owner, usage=self._counted())

    async def to_process(self, f: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        processes = self._services.executors.processes(self._job.queue)
        result: T = await processes.run_work(messages.StepWork(f, args, kwargs), usage=self._counted())
        return result

    def _counted(self) -> ExecutorUsage:
        if self.usage is None:
            self.usage = ExecutorUsage()
        return self.usage

    async def prune(self) -> int:
        removed = 0
        while gone := await stats.prune(self._services.redis):
            removed += gone
        too_old_ms = now_ms() - self._services.artifact_keep_ms
        await asyncio.to_thread(self._services.files.remove_older, too_old_ms / 1000)
        return removed

    async def stats(self) -> dict[str, Any]:
        return await stats.summary(self._services.redis, now_ms())

    async def callback_event(self) -> dict[str, Any]:
        return await callback_event.event(self._services.records, self._job)

    def _start(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = self._loop.create_task(coroutine)
        self._pending.add(task)
        return task

    async def _write(self, artifact: Artifact, data: bytes) -> None:
        await asyncio.to_thread(self._services.files.write_as, artifact, data)
        await artifacts.register(self._services.redis, artifact, self._services.artifact_keep_ms)


class ThreadPort:
    """The port of a job in a thread; it serves a child process too, as a thread reads the pipe."""

    def __init__(self, services: Services, job: Claimed, loop: asyncio.AbstractEventLoop, redact: Redact) -> None:
        self._services = services
        self._job = job
        self._loop = loop
        self._redact = redact
        self.was_aborted = False
        self.usage = ExecutorUsage()

    def note(self, kind: str, content: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._services.notes.add, self._job, kind, self._redact(content))

    def enqueue(self, function: str, args: dict[str, Any], options: EnqueueOptions) -> JobHandle:
        return JobHandle(self._enqueue(function, args, options, _BEGIN_TIMEOUT))

    def keep(self, name: str, data: bytes, media_type: str | None) -> Artifact:
        artifact = self._services.files.write(name, data, media_type)
        self._register(artifact, _BEGIN_TIMEOUT)
        return artifact

    def read(self, artifact_id: str) -> tuple[Artifact, bytes]:
        return self._find(artifact_id, _BEGIN_TIMEOUT), self._services.files.read(artifact_id)

    def is_aborted(self) -> bool:
        return self.was_aborted

    def serve(self, message: messages.Note | messages.Request) -> Any:
        """Take a note of a child process, or return the answer to its request."""
        if isinstance(message, messages.Note):
            return self.note(message.kind, message.content)
        left = message.asked_at + _BEGIN_TIMEOUT - time.monotonic()
        match message.content:
            case messages.EnqueueJob(function, arguments, options):
                return self._enqueue(function, arguments, options, left)
            case messages.RegisterArtifact(artifact):
                return self._register(artifact, left)
            case messages.FindArtifact(artifact_id):
                return self._find(artifact_id, left)

    def _enqueue(self, function: str, args: dict[str, Any], options: EnqueueOptions, begin_timeout: float) -> str:
        options = _of_job(options, self._job)
        try:
            return self._call(_enqueue(self._services.client, function, args, options), begin_timeout).id
        except Unfinished as error:
            raise MaybeEnqueued(str(options.job_id), str(error)) from None

    def _register(self, artifact: Artifact, begin_timeout: float) -> None:
        keep_ms = self._services.artifact_keep_ms
        self._call(artifacts.register(self._services.redis, artifact, keep_ms), begin_timeout)

    def _find(self, artifact_id: str, begin_timeout: float) -> Artifact:
        return self._call(artifacts.find(self._services.redis, artifact_id), begin_timeout)

    def _call(self, coroutine: Coroutine[Any, Any, T], begin_timeout: float) -> T:
        return call_on_loop(coroutine, self._loop, begin_timeout, _END_TIMEOUT)


async def _enqueue(client: Client, function: str, args: dict[str, Any], options: EnqueueOptions) -> Enqueued:
    """Store a job of a job; an answer that was lost is an error that names the id."""
    try:
        return await client.enqueue(function, args, options)
    except Unconfirmed:
        raise
    except Unavailable as error:
        raise MaybeEnqueued(str(options.job_id), str(error)) from error


def _of_job(options: EnqueueOptions, job: Claimed) -> EnqueueOptions:
    trace = options.traceparent
    if trace is None and b"traceparent" in job.options:
        trace = orjson.loads(job.options).get("traceparent")
    job_id, parent = options.job_id or new_id(now_ms()), options.parent or job.id
    return replace(options, job_id=job_id, parent=parent, traceparent=trace)
