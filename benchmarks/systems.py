"""The two that are compared: how each is filled, called, and started as worker processes."""

import asyncio
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.constants import job_key_prefix
from arq.jobs import serialize_job

from benchmarks.probe import VARIABLE
from offload.client import Request
from offload.domain.functions import EnqueueOptions
from offload.loader import load
from offload.settings import child_environment, load_settings
from offload.store.connection.connection import client, settings_of
from offload.wiring import Backend

REPOSITORY = Path(__file__).parent.parent
_BULK = 500


class Side(ABC):
    """One peer on one Redis: a caller in this process, and workers as processes of their own."""

    name: str

    def __init__(self, url: str, directory: Path, slots: int) -> None:
        self.url = url
        self.directory = directory
        self.slots = slots
        self.log = directory / "workers.log"

    @abstractmethod
    async def open(self) -> None:
        """Connect."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line of a worker."""

    @abstractmethod
    async def enqueue(self, function: str, due_ms: int | None = None) -> Any:
        """Put one job in; return what `result` takes."""

    @abstractmethod
    async def enqueue_bulk(self, function: str, count: int) -> None:
        """Put many in, in the quickest way that the peer offers its callers."""

    async def enqueue_concurrently(self, function: str, count: int, callers: int = 50) -> None:
        """Put many in, each with a call of its own, by so many callers at once."""

        async def call() -> None:
            for _ in range(count // callers):
                await self.enqueue(function)

        await asyncio.gather(*(call() for _ in range(callers)))

    @abstractmethod
    async def fill(self, function: str, count: int) -> None:
        """Put many in; this is not measured."""

    @abstractmethod
    async def result(self, ticket: Any) -> None:
        """Wait for the result of a job."""

    def start(self, probe: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a worker; what it says goes to a file, for it is read only when a measurement fails."""
        environment = {**child_environment(self.settings()), "PYTHONPATH": str(REPOSITORY)}
        if probe is not None:
            environment[VARIABLE] = str(probe)
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command(), env=environment, cwd=self.directory, stdout=log, stderr=log)

    def settings(self) -> dict[str, object]:
        """Return the settings of the worker process, beside the defaults."""
        return {}


class Offload(Side):
    """Offload as shipped: `offload worker` with its guardian, JSON, records, events."""

    name = "offload"

    async def open(self) -> None:
        catalogue = load(["benchmarks.workload"])
        self._redis = client(settings_of(self.url))
        settings = load_settings(redis_url=self.url, data_dir=self.directory / "data")
        self._backend = Backend.build(self._redis, settings, catalogue)

    async def close(self) -> None:
        await self._backend.close()
        await self._redis.aclose()

    def command(self) -> list[str]:
        return [sys.executable, "-m", "offload", "worker"]

    def settings(self) -> dict[str, object]:
        return {
            "redis_url": self.url,
            "jobs": ["benchmarks.workload"],
            "max_jobs": self.slots,
            "log_level": "WARNING",
            "data_dir": self.directory / "data",
        }

    async def enqueue(self, function: str, due_ms: int | None = None) -> Any:
        options = None if due_ms is None else EnqueueOptions(run_at_ms=due_ms)
        return (await self._backend.client.enqueue(f"workload.{function}", None, options)).id

    async def enqueue_bulk(self, function: str, count: int) -> None:
        await self._backend.client.enqueue_many([Request(f"workload.{function}") for _ in range(count)])

    async def fill(self, function: str, count: int) -> None:
        await self.enqueue_bulk(function, count)

    async def result(self, ticket: Any) -> None:
        await self._backend.inspector.wait(ticket, 30)


class Unwatched(Offload):
    """Offload without the watch over its event loop."""

    name = "unwatched"

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "stall_ms": 0}


class Stock(Side):
    """arq 0.28 as it is."""

    name = "arq"
    _pool: ArqRedis

    @property
    def _path(self) -> str:
        return self.url.removeprefix("unix://")

    async def open(self) -> None:
        self._pool = await create_pool(RedisSettings(unix_socket_path=self._path))

    async def close(self) -> None:
        await self._pool.aclose()

    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.stock", "--socket", self._path, "--slots", str(self.slots)]

    async def enqueue(self, function: str, due_ms: int | None = None) -> Any:
        until = None if due_ms is None else datetime.fromtimestamp(due_ms / 1000, UTC)
        return await self._pool.enqueue_job(f"workload.{function}", _defer_until=until)

    async def enqueue_bulk(self, function: str, count: int) -> None:
        """Use 50 callers at once: arq has no call for many jobs."""
        await self.enqueue_concurrently(function, count)

    async def fill(self, function: str, count: int) -> None:
        """Write what `enqueue_job` writes, pipelined."""
        now_ms = round(datetime.now(UTC).timestamp() * 1000)
        payload = serialize_job(f"workload.{function}", (), {}, None, now_ms)
        for first in range(0, count, _BULK):
            pipe = self._pool.pipeline(transaction=False)
            names = [os.urandom(16).hex() for _ in range(min(_BULK, count - first))]
            for name in names:
                pipe.psetex(job_key_prefix + name, 86_400_000, payload)
            pipe.zadd("arq:queue", dict.fromkeys(names, now_ms))
            await pipe.execute()

    async def result(self, ticket: Any) -> None:
        await ticket.result(timeout=30)


SIDES: dict[str, Callable[[str, Path, int], Side]] = {"offload": Offload, "arq": Stock, "unwatched": Unwatched}
PEERS = ("offload", "arq")
