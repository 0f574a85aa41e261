"""A worker beside a client and an inspector, in one process or as a process of its own, on a real Redis."""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offload.client import Client
from offload.domain.callbacks import Callbacks
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.functions import EnqueueOptions
from offload.domain.records import JobRecord
from offload.inspector import Inspector
from offload.settings import Settings, child_environment
from offload.store.connection.connection import client, settings_of
from offload.store.jobs.codec import json_deserializer, json_serializer
from offload.wiring import Backend
from offload.worker import Worker
from offload.worker.options import WorkerOptions
from support.processes import children_of, gone, marked

CALLBACKS = Callbacks(has_secrets=True, allow_private=True)
SECRET = "whsec_" + base64.b64encode(b"0" * 32).decode()
ROOT = Path(__file__).resolve().parents[2]
MARK = "STARTED_BY_TEST"  # in the environment of every process that a test started


@dataclass
class Bench:
    """A client and an inspector on one Redis, and the workers that were started on it in this process."""

    url: str
    catalogue: Catalogue
    client: Client
    inspector: Inspector
    redis: Any
    artifacts: Path
    workers: list[Worker] = field(default_factory=list)

    async def enqueue(self, function: str, /, _options: EnqueueOptions | None = None, **args: Any) -> str:
        """Put a job in and return its id."""
        return (await self.client.enqueue(function, args, _options)).id

    async def ended(self, job_id: str, timeout: float = 20) -> JobRecord:
        """Return the job when it has ended; fails the test when it has not within `timeout` s."""
        record = await self.inspector.wait(job_id, timeout)
        assert record.status.is_terminal, f"{job_id} is still {record.status}"
        return record

    async def entered(self, job_id: str, state: str, timeout: float = 20) -> JobRecord:
        """Return the job when it has entered a state (or named an event such as `progress`)."""
        async with asyncio.timeout(timeout):
            async for event in self.inspector.events(job_id):
                if event is not None and event.name == state:
                    break
        return await self.inspector.get(job_id)

    async def run(self, function: str, /, _options: EnqueueOptions | None = None, **args: Any) -> JobRecord:
        """Put a job in and return it when it has ended."""
        return await self.ended(await self.enqueue(function, _options, **args))

    @contextlib.asynccontextmanager
    async def worker(self, **arguments: Any) -> AsyncIterator[Worker]:
        """Run a worker in this process; arguments are those of `Worker`, options of `WorkerOptions` by name."""
        worker = self.make_worker(**arguments)
        task = asyncio.create_task(worker.async_run())
        self.workers.append(worker)
        try:
            await self._is_there(worker, task)
            yield worker
        finally:
            worker.handle_sig(signal.SIGTERM)
            await asyncio.gather(task, return_exceptions=True)
            await worker.close()

    def make_worker(self, **arguments: Any) -> Worker:
        """Make a worker that is not running yet."""
        names = WorkerOptions.__dataclass_fields__
        options = {name: arguments.pop(name) for name in list(arguments) if name in names}
        options = {
            "catalogue": self.catalogue,
            "artifacts": self.artifacts,
            "queues": self.catalogue.queue_names,
            "callbacks": CALLBACKS,
            "has_guardian": False,  # nobody renews a lease
            "lease_seconds": 60.0,  # so a test must be over before it is, on a slow machine too
            **options,
        }
        defaults = {
            "functions": list(self.catalogue.functions.values()),
            "redis_settings": settings_of(self.url),
            "job_serializer": json_serializer,
            "job_deserializer": json_deserializer,
            "handle_signals": False,
            "max_jobs": 100,
            "allow_abort_jobs": True,
        }
        return Worker(**{**defaults, **arguments}, offload=WorkerOptions(**options))

    async def _is_there(self, worker: Worker, task: "asyncio.Task[None]") -> None:
        async with asyncio.timeout(10):
            while not await self.redis.zscore("offload:workers", worker.worker_id):
                if task.done():
                    task.result()
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def bench_on(url: str, artifacts: Path, functions: Iterable[Any] | Catalogue) -> AsyncIterator[Bench]:
    """Connect a bench for these job functions."""
    catalogue = functions if isinstance(functions, Catalogue) else Catalogue(of_functions(functions))
    settings = Settings(
        redis_url=url, artifacts_url=f"file://{artifacts}", webhook_secrets=[SECRET], allow_private_addresses=True
    )
    redis = client(settings_of(url))
    backend = Backend.build(redis, settings, catalogue)
    try:
        yield Bench(url, catalogue, backend.client, backend.inspector, redis, artifacts)
    finally:
        await backend.close()
        await redis.aclose()


class WorkerProcess:
    """`offload worker` or the arq CLI as a real process, with its log read line by line."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self.mark = secrets.token_hex(8)
        self.process = subprocess.Popen(
            command,
            env={**env, MARK: self.mark},
            cwd=cwd,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.log: list[dict[str, Any]] = []
        self._heard = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    async def until(self, event: str, count: int = 1, timeout: float = 20) -> dict[str, Any]:
        """Return the `count`-th log line of that event when it comes; fails the test when it does not."""
        return await asyncio.to_thread(self._until, event, count, timeout)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the outer process a signal."""
        self.process.send_signal(number)

    async def ended(self, timeout: float = 20) -> int:
        """Return the exit code when the process has ended."""
        return await asyncio.to_thread(self.process.wait, timeout)

    def signal_all(self, number: int) -> None:
        """Send a signal to its whole process group, as a terminal does at Ctrl-C."""
        os.killpg(self.process.pid, number)

    def children(self) -> list[int]:
        """Return the ids of its direct child processes."""
        return children_of(self.process.pid)

    async def left_nothing(self) -> None:
        """Return when no process that it started, however indirectly, is running any more; fails the test otherwise."""
        for pid in marked(MARK, self.mark):
            await gone(pid, 10)

    def close(self) -> None:
        """Kill it and all it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._reader.join(10)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            try:
                line = json.loads(raw)
            except ValueError:
                line = {"event": raw.decode(errors="replace").rstrip(), "plain": True}
            with self._heard:
                self.log.append(line)
                self._heard.notify_all()
        self.process.stderr.close()

    def _until(self, event: str, count: int, timeout: float) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            lines = [line for line in self.log if line.get("event") == event]
            return lines[count - 1] if len(lines) >= count else None

        with self._heard:
            line = self._heard.wait_for(found, timeout)
        assert line, f"no {event!r} (x{count}) within {timeout} s; the log was:\n" + "\n".join(map(str, self.log[-40:]))
        return line


def offload_worker(url: str, cwd: Path, jobs: list[str], *arguments: str, **settings: Any) -> WorkerProcess:
    """Start `offload worker` on job modules that lie in `cwd`."""
    changes = {"redis_url": url, "jobs": jobs, "data_dir": cwd / ".offload", "log_format": "json", **settings}
    return WorkerProcess([sys.executable, "-m", "offload", "worker", *arguments], child_environment(changes), cwd)


def arq_worker(url: str, cwd: Path, settings_path: str, *arguments: str, **settings: Any) -> WorkerProcess:
    """Start the arq CLI on a WorkerSettings that lies in `cwd`, or in this clone (`jobs.WorkerSettings`)."""
    changes = {"redis_url": url, "data_dir": cwd / ".offload", "log_format": "json", **settings}
    env = {**child_environment(changes), "PYTHONPATH": str(ROOT)}
    return WorkerProcess([sys.executable, "-m", "arq", settings_path, *arguments], env, cwd)
