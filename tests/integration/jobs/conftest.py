"""The bench that shipped jobs are tested on: `run_job`, and real servers on loopback for them to talk to."""

import asyncio
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

from offload import Artifact, JobContext
from offload.domain.clock import to_ms
from offload.domain.errors import NotFound
from offload.settings import Settings
from offload.worker.context import AttemptInfo


class BenchPort:
    """What a context speaks to here: notes go into lists, files into a dictionary."""

    def __init__(self, bench: "JobBench") -> None:
        self._bench = bench

    def note(self, kind: str, said: dict[str, Any]) -> None:
        if kind == "log":
            self._bench.logged.append(said)
            return
        self._bench.progress.append((said["fraction"], said["message"]))
        self._bench.on_progress(said["fraction"], said["message"])

    def enqueue(self, function: str, _args: dict[str, Any], _options: Any) -> Any:
        raise NotImplementedError(function)

    def keep(self, name: str, data: bytes, media_type: str | None) -> Artifact:
        return self._bench.put(name, data, media_type)

    def read(self, artifact_id: str) -> tuple[Artifact, bytes]:
        if artifact_id not in self._bench.artifacts:
            raise NotFound("artifact", artifact_id)
        return self._bench.artifacts[artifact_id]

    def is_aborted(self) -> bool:
        return self._bench.aborting.is_set()


class BenchLoop:
    """What jobs on the loop get beyond that."""

    redis: Any = None
    http: Any = None

    async def to_thread(self, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(f, *args, **kwargs)

    async def to_process(self, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(f, *args, **kwargs)

    async def stats(self) -> dict[str, Any]:
        return {
            "statuses": {"queued": 2, "succeeded": 40, "dead": 3, "aborted": 0},
            "functions": {"a.fine": {"succeeded": 40}, "b.bad": {"dead": 3, "retried": 9}},
        }

    async def prune(self) -> int:
        return 7

    async def callback_event(self) -> dict[str, Any]:
        return {"type": "job.succeeded", "timestamp": "2026-11-22T09:30:00Z", "data": {"id": "a", "result": "Grüße"}}


@dataclass
class JobBench:
    """Runs one attempt of a job: `await run_job(function, **arguments)` returns its result or raises what it raised.

    Arguments go through the function's own validation, as on enqueue.
    """

    settings: Settings
    job_id: str = "0123456789abcdef0123456789abcdef"
    attempt: int = 1
    deadline: datetime | None = None
    progress: list[tuple[float | None, str | None]] = field(default_factory=list)
    logged: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[str, tuple[Artifact, bytes]] = field(default_factory=dict)
    aborting: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[float | None, str | None], None] = lambda _fraction, _message: None

    async def __call__(self, function: Any, **arguments: Any) -> Any:
        checked = function.arguments.validate(arguments)
        deadline_ms = None if self.deadline is None else to_ms(self.deadline)
        attempt_info = AttemptInfo(self.job_id, function.name, function.queue, self.attempt, 5, 0, deadline_ms)
        on_loop = function.runs_in == "loop"
        context = JobContext(attempt_info, BenchPort(self), BenchLoop() if on_loop else None)
        if on_loop:
            return await function.fn(context, **checked)
        return await asyncio.to_thread(function.fn, context, **checked)

    def configure(self, **settings: Any) -> None:
        """Change settings for the jobs to come."""
        self.settings = self.settings.model_copy(update=settings)

    def put(self, name: str, data: bytes, media_type: str | None = None) -> Artifact:
        """Store a file as if another job had made it."""
        artifact = Artifact(
            id=f"file{len(self.artifacts)}",
            name=name,
            media_type=media_type or "application/octet-stream",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        self.artifacts[artifact.id] = artifact, data
        return artifact

    def content(self, artifact: Artifact) -> bytes:
        """Return what a job stored."""
        return self.artifacts[artifact.id][1]


@pytest.fixture
def run_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobBench:
    """Run one attempt of a job."""
    bench = JobBench(Settings(_env_file=None, data_dir=tmp_path / "data", llm_command=None))
    monkeypatch.setattr("offload.settings.get_settings", lambda: bench.settings)
    return bench


@pytest.fixture
def closed_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


class WebServer:
    """A real HTTP server on loopback whose answers a test sets by path, once or for good."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.routes: dict[str, Callable[[Seen, BaseHTTPRequestHandler], Answer | None]] = {}
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def wrap(self, tls: Any) -> None:
        """Speak TLS from now on."""
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def answer(self, path: str, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Set the answer to every request of a path."""
        self.routes[path] = lambda _seen, _handler: (status, headers or {}, body)

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(
                    self.command, parts.path, parts.query, {k.lower(): v for k, v in self.headers.items()}, body
                )
                web.seen.append(seen)
                route = web.routes.get(parts.path, lambda *_: (404, {}, b"no such page"))
                answer = route(seen, self)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def handle(self) -> None:
                try:
                    super().handle()
                except (ConnectionError, TimeoutError):
                    return

            def log_message(self, *_: Any) -> None:
                return

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = respond  # noqa: N815

        return Handler


@pytest.fixture
def web() -> Iterator[WebServer]:
    """Start a web server."""
    server = WebServer()
    yield server
    server.close()


class AnyPort(Controller):
    """A controller that finds out which port it was given before it connects to it."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class MailServer:
    """A real SMTP server on loopback (aiosmtpd) that keeps what it takes, and refuses what a test says."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.refuse_recipient: dict[str, str] = {}
        self.answer_data = "250 OK: queued as 4711"
        self.answer_quit: str | None = None
        self._controllers: list[Controller] = []
        self.url = self._start()

    @property
    def messages(self) -> list[EmailMessage]:
        return [message_from_bytes(envelope.content, policy=policy.default) for envelope in self.envelopes]  # type: ignore[misc]

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse_recipient:
            return self.refuse_recipient[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answer_data.startswith("250"):
            self.envelopes.append(envelope)
        return self.answer_data

    async def handle_QUIT(self, server: Any, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        if self.answer_quit is not None:
            return self.answer_quit
        return "221 Bye"

    def require(self, user: str, password: str) -> str:
        """Start a second server that asks for a login; return its URL without one."""

        def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
            return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()), handled=False)

        return self._start(authenticator=authenticate, auth_required=True, auth_require_tls=False)

    def close(self) -> None:
        for controller in self._controllers:
            controller.stop()

    def _start(self, **options: Any) -> str:
        controller = AnyPort(self, hostname="127.0.0.1", port=0, **options)
        controller.start()
        self._controllers.append(controller)
        return f"smtp://127.0.0.1:{controller.port}"


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """Start a mail server."""
    server = MailServer()
    yield server
    server.close()
