"""What these tests stand on: job functions, the application called in three ways, a stand-in for a worker."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field, replace
from typing import Annotated

import httpx
import orjson
import redis.asyncio
import uvicorn
from pydantic import BaseModel, Field, SecretStr

from offload.api.server import config as http
from offload.api.server.protocol import protocol
from offload.app import create_app
from offload.domain.catalogue import Catalogue
from offload.domain.clock import now_ms
from offload.domain.fingerprints import fingerprint
from offload.domain.functions import define, plain_function
from offload.domain.queues import Queue
from offload.settings import Settings
from offload.store import keys
from offload.store.jobs import leases
from offload.store.jobs.codec import Codec

KEPT_MS = 60_000


class Email(BaseModel):
    """A letter."""

    to: list[str]
    subject: Annotated[str, Field(max_length=20, examples=["Hello"])]


class Receipt(BaseModel):
    """What the post office says."""

    id: str


async def send(ctx, message: Email, urgent: bool = False) -> Receipt:
    """Send one letter.

    It is delivered at most once a day.
    """


def digest(ctx, password: SecretStr, rounds: Annotated[int, Field(ge=1, examples=[7])] = 1000) -> str:
    """Derive a key."""


async def anything(ctx, *args, **kwargs):
    """Take whatever comes, as arq does."""


async def add(ctx, a: Annotated[int, Field(examples=[1])], b: Annotated[int, Field(examples=[2])]) -> int:
    """Add two numbers."""
    return a + b


async def beat(ctx) -> None:
    """Do nothing."""


def functions_of_the_tests():
    """Typed functions that run in all three places, and a plain arq one."""
    functions = [
        define(send, name="mail.send", queue="mail", max_tries=6, timeout=30, keep_result=60),
        define(digest, name="digest.pbkdf2", runs_in="thread"),
        define(digest, name="digest.pbkdf2_far", runs_in="process"),
        define(add, name="numbers.add"),
        define(beat, name="demo.beat"),
        plain_function("anything", anything),
    ]
    return Catalogue({one.name: one for one in functions}, {"mail": Queue("mail", max_running=2, rate="10/s")})


def settings_for(url, data_dir, **more):
    """Settings that no environment and no `.env` can change.

    The event loop is watched, and a machine that is busy with other tests makes no stall of its own.
    """
    fixed = {"stall_ms": 10_000, "log_level": "DEBUG", "log_format": "json"}
    return Settings(_env_file=None, redis_url=url, data_dir=data_dir, **{**fixed, **more})


@contextlib.asynccontextmanager
async def calling(settings, catalogue):
    """A client that calls the application in this process."""
    app = create_app(settings, catalogue)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            client.app = app
            yield client


@contextlib.asynccontextmanager
async def serving(app, patience=None):
    """The application behind real sockets; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = http.config(app, Settings(_env_file=None), drain=1)
    if patience is not None:
        config.http = protocol(patience)
    server = Server(config)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.serve([listener]))
        await server.ready.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


class Server(uvicorn.Server):
    """A uvicorn that says when it listens, and leaves signals to the test."""

    def __init__(self, config):
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@dataclass
class StandInWorker:
    """Claims and ends jobs with the worker's own scripts, when the test says so."""

    redis: redis.asyncio.Redis
    name: str = "stand-in"
    codec: Codec = field(default_factory=Codec)
    claims: int = 0

    async def start(self, *queues):
        """Claim one due job; fails where there is none."""
        self.claims += 1
        wanted = [(queue, 1) for queue in queues or ("default", "mail")]
        claim = await leases.claim(
            self.redis,
            self.name,
            self.claims,
            lease_ms=10_000,
            slots=1,
            timeout_ms=300_000,
            grace_ms=5_000,
            queues=wanted,
        )
        return claim.jobs[0]

    async def succeed(self, job, result, keep_ms=KEPT_MS):
        """End a job well; `result` is JSON."""
        payload = self.codec.decode_job(job.payload)
        data = self.codec.encode_result(
            job.id, keys.queue_key(job.queue), payload, job.attempt, job.claimed_ms, now_ms(), result=result
        )
        return await self._finish(job, "succeeded", result=data if keep_ms else b"", result_ttl_ms=keep_ms)

    async def fail(self, job, error, verb="dead", due_ms=0):
        """End an attempt badly: the job is dead, or retried."""
        error = replace(error, fingerprint=fingerprint(job.function, error.type, error.message, error.traceback))
        about = error.as_dict()
        entry = {
            "attempt": job.attempt,
            "started": job.claimed_ms,
            "ended": now_ms(),
            "worker": self.name,
            "error": about,
        }
        fields = (("error", orjson.dumps(about).decode()),) if verb == "dead" else ()
        failed = orjson.dumps(entry)
        return await self._finish(
            job, verb, due_ms=due_ms, failed_attempt=failed, fields=fields, fingerprint=error.fingerprint
        )

    async def abort(self, job):
        """End a job that somebody asked to stop."""
        return await self._finish(job, "aborted")

    async def note(self, job, kind, said):
        """Say something of a running job."""
        await leases.note(self.redis, 200, [(job.id, job.token, kind, orjson.dumps({**said, "at": now_ms()}))])

    async def _finish(self, job, verb, **about):
        ending = leases.AttemptEnd(job.id, job.token, verb, job.function, record_ttl_ms=KEPT_MS, **about)
        return await leases.finish(self.redis, self.name, [ending])


def is_problem(response, status, slug):
    """Whether a response is this problem, whole and well declared."""
    body = response.json()
    return (
        (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
        and body["type"] == f"/problems/{slug}"
        and body["status"] == status
        and body["instance"] == response.request.url.path
        and bool(body["title"])
        and bool(body["detail"])
    )
