"""Connects the parts that speak to Redis, for the processes that use them from outside: the API and the CLI."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from offload.client import Client
from offload.domain.catalogue import Catalogue
from offload.inspector import Inspector
from offload.operations import Operations
from offload.settings import Settings
from offload.store.connection import blocking, connection
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.feed.stream import Feed
from offload.store.fleet.stalls import StallWriter
from offload.store.jobs.artifacts import ArtifactFiles
from offload.store.jobs.codec import Codec
from offload.store.jobs.durability import Confirm
from offload.store.jobs.encryption import Sealer
from offload.store.jobs.enqueue import JobStore
from offload.store.jobs.records import Records

_CONNECTIONS = 64  # more would not be served faster by one Redis
_FEED_TIMEOUT = 10.0  # seconds; longer than the feed's blocking read


def codec_of(settings: Settings) -> Codec:
    """Return how arguments and results are stored."""
    keys = [key.get_secret_value() for key in settings.encryption_keys]
    return Codec.named(settings.serializer, Sealer(keys))


def confirm_of(settings: Settings) -> Confirm:
    """Return how new jobs are confirmed."""
    return Confirm(settings.enqueue_replicas, settings.enqueue_fsync, settings.enqueue_confirm_seconds)


def artifact_files(settings: Settings) -> ArtifactFiles:
    """Return the store of artifacts."""
    return ArtifactFiles.at(settings.artifacts_url, settings.data_dir.absolute() / "artifacts")


@dataclass(frozen=True)
class Backend:
    """All that a caller needs: enqueue with `client`, read with `inspector`, operate with `operations`."""

    catalogue: Catalogue
    client: Client
    inspector: Inspector
    operations: Operations
    outage: RedisOutage
    stalls: StallWriter
    _feed: Feed = field(repr=False)
    _feed_connection: RedisClient = field(repr=False)

    @classmethod
    def build(cls, redis: RedisClient, settings: Settings, catalogue: Catalogue) -> "Backend":
        """Make every part over one client of Redis; nothing connects yet.

        The feed and the stalls have connections of their own to `settings.redis_url`: `close` closes these.
        """
        address = connection.settings_of(settings.redis_url)
        feed_connection = connection.client(address, answer_timeout=_FEED_TIMEOUT)
        outage = RedisOutage()
        feed = Feed(feed_connection, outage)
        codec = codec_of(settings)
        records = Records(redis, codec, catalogue.functions)
        confirm = confirm_of(settings)
        client = Client(JobStore(redis, codec, confirm), catalogue, settings.retention, settings.callbacks)
        return cls(
            catalogue=catalogue,
            client=client,
            inspector=Inspector(redis, records, feed, artifact_files(settings), catalogue),
            operations=Operations(redis, client, catalogue),
            outage=outage,
            stalls=StallWriter(
                partial(blocking.connect, blocking.portable(address)), f"{socket.gethostname()}-{os.getpid()}"
            ),
            _feed=feed,
            _feed_connection=feed_connection,
        )

    async def close(self) -> None:
        """Write the stalls that wait, stop the feed, and close their connections."""
        await asyncio.to_thread(self.stalls.close)
        await self._feed.close()
        await self._feed_connection.aclose()


@asynccontextmanager
async def connect(settings: Settings, catalogue: Catalogue, *, must_answer: bool = True) -> AsyncIterator[Backend]:
    """Connect to Redis at `settings.redis_url`; raises Unavailable at once when it must answer and does not.

    Connecting writes nothing. Workers alone declare the limits of queues: the code here may be older than theirs.
    """
    redis = connection.client(connection.settings_of(settings.redis_url), most=_CONNECTIONS)
    backend = Backend.build(redis, settings, catalogue)
    try:
        if must_answer:
            await connection.check(redis, settings.redis_url)
        yield backend
    finally:
        await backend.close()
        await redis.aclose()
