"""redis-py's asyncio connection, with less work for each command: half the CPU time of a round trip.

redis-py 5.3 packs arguments in Python, starts a task for each write that has a timeout, and looks for stale data with
a timer before each command. The same guarantees are kept here with less.
"""

import asyncio
from collections.abc import Iterable
from functools import cache
from typing import Any

import hiredis
import redis.exceptions as faults
from redis.asyncio.connection import AbstractConnection

_SMALL = 16_384  # bytes; a stream takes 65,536 before it makes its writer wait


class _Swift(AbstractConnection):
    """A mixin for a connection class of redis-py."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Pack as redis-py's blocking client does."""
        words = tuple(args[0].encode().split()) if isinstance(args[0], str) else (args[0],)
        try:
            return [hiredis.pack_command((*words, *args[1:]))]
        except TypeError as error:
            raise faults.DataError(str(error)) from error

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - as redis-py
        """Send within the timeout of the socket; a connection that cannot is closed."""
        limit, self.socket_timeout = self.socket_timeout, None  # with one, redis-py makes a task for the write
        try:
            if self._fits(command):
                await super().send_packed_command(command, check_health)
                return
            async with asyncio.timeout(limit):
                await super().send_packed_command(command, check_health)
        except TimeoutError as error:
            await self.disconnect(nowait=True)
            raise faults.TimeoutError("Timeout writing to socket") from error
        finally:
            self.socket_timeout = limit

    def _fits(self, command: bytes | str | Iterable[bytes]) -> bool:
        """Return True if a command can be written without a wait: it is small, and the buffer is empty."""
        if self._writer is None or not isinstance(command, list) or sum(map(len, command)) > _SMALL:
            return False
        return self._writer.transport.get_write_buffer_size() == 0

    async def read_response(self, *args: Any, **about: Any) -> Any:
        """Read an answer; after `READONLY` the connection is closed, so that the next one is made to the new master.

        An address may lead elsewhere by then: sentinels, a DNS name, a proxy.
        """
        try:
            return await super().read_response(*args, **about)
        except faults.ReadOnlyError:
            await self.disconnect(nowait=True)
            raise

    async def can_read_destructive(self) -> bool:
        """Return True if unexpected data arrived; a connection that the server closed raises ConnectionError.

        The loop has read both by now: redis-py's own check, which costs a timer, is needed only where data arrived.
        """
        stream: Any = self._reader
        if stream is not None and stream.exception() is None and not stream.at_eof() and not stream._buffer:  # noqa: SLF001 - no public way
            return False
        look: Any = super().can_read_destructive
        return bool(await look())


class _Few:
    """A mixin for a connection pool of redis-py: a caller waits while all connections are in use."""

    free: asyncio.Semaphore

    async def get_connection(self, *_args: Any, **_about: Any) -> Any:
        """Return a connection as soon as one is free; others get theirs also while this one is being made."""
        pool: Any = self
        await self.free.acquire()
        try:
            connection = pool.get_available_connection()
        except BaseException:
            self.free.release()
            raise
        try:
            await pool.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        """Return a connection to the pool."""
        try:
            await super().release(connection)  # type: ignore[misc]
        finally:
            self.free.release()


def keep_few(pool: Any, most: int) -> None:
    """Limit the connections of a pool; redis-py's own limit raises, or takes a lock for each command."""
    pool.__class__ = type(f"Few{type(pool).__name__}", (_Few, type(pool)), {"free": asyncio.Semaphore(most)})


@cache
def swift(connection: type[Any]) -> type[Any]:
    """Return a connection class of redis-py with less to do for each command."""
    return type(f"Swift{connection.__name__}", (_Swift, connection), {})
