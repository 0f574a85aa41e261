"""Where one measurement is made: a fresh Redis, one side on it, its workers, and the socket on which jobs report."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks import machine
from benchmarks.systems import SIDES, Side
from offload.store.embedded.server import EmbeddedRedis

_PATIENCE = 60.0


class Bed:
    """What a measurement uses; made by `bed`."""

    def __init__(self, side: Side, redis: Any, directory: Path) -> None:
        self.side = side
        self.redis = redis
        self.workers: list[subprocess.Popen[bytes]] = []
        self._probe_path = directory / "probe"
        self._probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._probe.bind(str(self._probe_path))
        self._probe.setblocking(False)  # noqa: FBT003 - takes no keyword

    async def start(self, count: int = 1) -> None:
        """Start workers, and return when each has run a job."""
        for _ in range(count):
            self.freeze()  # so that the new worker, and no other, takes the job
            self.start_now()
            await self.side.enqueue("tell")
            await self.told()
            self.thaw()

    def start_now(self) -> None:
        """Start a worker, and do not wait for it."""
        self.workers.append(self.side.start(self._probe_path))

    def freeze(self) -> None:
        """Stop all workers where they stand, so that jobs can be queued while they are up."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the workers go on."""
        self._signal(signal.SIGCONT)

    def pids(self) -> list[int]:
        """Return the worker processes with what belongs to them: guardians."""
        return [pid for one in self.workers for pid in machine.family(one.pid)]

    def _signal(self, number: int) -> None:
        for pid in self.pids():
            os.kill(pid, number)

    async def told(self) -> tuple[int, int]:
        """Return when a job said that it had begun: the monotonic and the wall clock in ns."""
        async with asyncio.timeout(_PATIENCE):
            data = await asyncio.get_running_loop().sock_recv(self._probe, 100)
        monotonic, wall = data.split()
        return int(monotonic), int(wall)

    async def queued(self) -> int:
        """Return how many jobs are queued or running."""
        return int(await self.redis.zcard("arq:queue"))

    def close(self) -> None:
        """End the workers and close the socket."""
        for one in self.workers:
            one.send_signal(signal.SIGTERM)
        for one in self.workers:
            try:
                one.wait(10)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait(10)
        self._probe.close()


@contextlib.asynccontextmanager
async def bed(name: str, slots: int) -> AsyncIterator[Bed]:
    """Make a bed for one side, and leave nothing of it behind."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        directory = Path(temporary)
        server = await asyncio.to_thread(EmbeddedRedis.start, directory, durable=False)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(server.stop)
            redis = await create_pool(RedisSettings(unix_socket_path=str(server.socket_path)))
            stack.push_async_callback(redis.aclose)
            side = SIDES[name](server.url, directory, slots)
            await side.open()
            stack.push_async_callback(side.close)
            made = Bed(side, redis, directory)
            stack.callback(made.close)
            try:
                yield made
            except Exception as error:
                said = side.log.read_text(errors="replace") if side.log.exists() else ""
                error.add_note(f"the workers of {name} said:\n{said[-3000:]}")
                raise
