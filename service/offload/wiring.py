"""Connects the parts that speak to Redis, for the processes that use them from outside: the API and the CLI."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from offload.client import Client
from offload.domain.callbacks import Callbacks
from offload.domain.catalogue import Catalogue
from offload.inspector import Inspector
from offload.operations import Operations
from offload.settings import Settings
from offload.store.connection import connection
from offload.store.connection.blocking import connect as connect_blocking
from offload.store.connection.blocking import portable
from offload.store.connection.outage import RedisOutage
from offload.store.feed.stream import Feed
from offload.store.fleet.stalls import StallWriter
from offload.store.jobs.artifacts import ArtifactFiles
from offload.store.jobs.codec import Codec
from offload.store.jobs.durability import Confirm
from offload.store.jobs.encryption import Sealer
from offload.store.jobs.enqueue import JobStore, Retention
from offload.store.jobs.records import Records

_CONNECTIONS = 64  # more would not be served faster by one Redis


@dataclass(frozen=True)
class Backend:
    """Everything a caller needs: put work in with `client`, look at it with `inspector`."""

    catalogue: Catalogue
    client: Client
    inspector: Inspector
    operations: Operations
    away: RedisOutage
    stalls: StallWriter


def kept(settings: Settings) -> Retention:
    """Return how long things are kept, in ms."""
    record_ms = round((settings.keep_result + settings.keep_records) * 1000)
    return Retention(round(settings.keep_result * 1000), record_ms, round(settings.keep_dead * 1000))


def codec_of(settings: Settings) -> Codec:
    """Return how arguments and results are stored."""
    keys = [key.get_secret_value() for key in settings.encryption_keys]
    return Codec.named(settings.serializer, Sealer(keys))


def artifact_files(settings: Settings) -> ArtifactFiles:
    """Return where artifacts lie."""
    return ArtifactFiles.at(settings.artifacts_url, settings.data_dir.absolute() / "artifacts")


@asynccontextmanager
async def connect(settings: Settings, catalogue: Catalogue, *, must_answer: bool = True) -> AsyncIterator[Backend]:
    """Connect to Redis at `settings.redis_url`; raises Unavailable at once when it must answer and does not.

    Connecting writes nothing. Workers alone declare the limits of queues: the code here may be older than theirs.
    """
    address = settings.redis_url
    arq_settings = connection.settings_of(address)
    redis = connection.client(arq_settings, most=_CONNECTIONS)
    blocking = connection.client(arq_settings, answer_timeout=10.0)  # longer than the feed's blocking read
    away = RedisOutage()
    feed = Feed(blocking, away)
    stalls = StallWriter(partial(connect_blocking, portable(arq_settings)), f"{socket.gethostname()}-{os.getpid()}")
    try:
        if must_answer:
            await connection.check(redis, address)
        codec = codec_of(settings)
        records = Records(redis, codec, catalogue.functions)
        inspector = Inspector(redis, records, feed, artifact_files(settings), catalogue)
        confirm = Confirm(settings.enqueue_replicas, settings.enqueue_fsync, settings.enqueue_confirm_seconds)
        callbacks = Callbacks(bool(settings.webhook_secrets), settings.allow_private_addresses)
        client = Client(JobStore(redis, codec, confirm), catalogue, kept(settings), callbacks)
        yield Backend(catalogue, client, inspector, Operations(redis, client, catalogue), away, stalls)
    finally:
        await asyncio.to_thread(stalls.close)
        await feed.close()
        await redis.aclose()
        await blocking.aclose()
