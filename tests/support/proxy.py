"""A way to Redis that can be blocked: as when a network drops packets, nothing is refused and nothing answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_CHUNK = 65536


class Proxy:
    """Forwards TCP connections to a unix socket, while it is open."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._forwarding: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        """The address to call instead of the target's."""
        return f"redis://127.0.0.1:{self.port}/0"

    def block(self) -> None:
        """Let nothing pass any more, in neither direction; connections stay open, and new ones are taken."""
        self._open.clear()

    def unblock(self) -> None:
        """Let everything pass, also what came meanwhile."""
        self._open.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Listen."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._forwarding:
                task.cancel()
            await asyncio.gather(*self._forwarding, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._forwarding.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_unix_connection(self._target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._forward(reader, far_writer))
                    group.create_task(self._forward(far_reader, writer))
            finally:
                far_writer.close()
        writer.close()
        self._forwarding.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
            writer.close()
