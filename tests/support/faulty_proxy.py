"""A TCP proxy before a server, which does harm to the connections that a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Passes connections on; each takes the next fault of `faults`, where there is one.

    `lose`: pass the request on, wait for its answer, and close without a word. `refuse`: close at once.
    `cut:<n>`: pass n bytes of the answers on, then close. `say:<text>`: answer with this by itself. `pass`: no harm.
    """

    port: int
    faults: list[str] = field(default_factory=list)
    met: list[str] = field(default_factory=list)
    address: str = ""

    def lead_to(self, address: str) -> None:
        """Pass new connections on to another server."""
        self.port = int(address.rpartition(":")[2])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        fault, _, detail = (self.faults.pop(0) if self.faults else "pass").partition(":")
        self.met.append(fault)
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            if fault == "refuse":
                return
            if fault == "say":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(detail.encode())
                await writer.drain()
                return
            await self._pass_on(reader, writer, fault, int(detail or 0))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str, most: int) -> None:
        behind, before = await asyncio.open_connection("127.0.0.1", self.port)
        asking = asyncio.create_task(_copy(reader, before))
        try:
            passed = 0
            while chunk := await behind.read(65536):
                if fault == "lose":
                    return
                if fault == "cut":
                    chunk = chunk[: most - passed]
                writer.write(chunk)
                await writer.drain()
                passed += len(chunk)
                if fault == "cut" and passed == most:
                    return
        finally:
            asking.cancel()
            before.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


@contextlib.asynccontextmanager
async def proxy_of(address: str, *faults: str) -> AsyncIterator[Proxy]:
    """Run a proxy before the server at an address such as `http://127.0.0.1:8000`."""
    proxy = Proxy(0, list(faults))
    proxy.lead_to(address)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield proxy
