"""From an address to a client of Redis, and from redis-py's exceptions to ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis.exceptions as faults
from arq.connections import ArqRedis, RedisSettings
from redis.asyncio import Sentinel
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from offload.domain import redis_address
from offload.domain.errors import Unavailable
from offload.domain.redis_address import without_password
from offload.store.connection.fast_connection import keep_few, swift

# What a connection is called elsewhere. redis-py 5.3 types every command of the async client as
# `Awaitable[X] | X`, which no strict checker lets one await; hence Any.
RedisClient = Any

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0
_AWAY = (
    faults.ConnectionError,
    faults.TimeoutError,
    faults.BusyLoadingError,
    faults.ReadOnlyError,
    faults.OutOfMemoryError,
    OSError,
)
# Answers that redis-py has no class for: a disk that is full, too few replicas, a replica without its master, a script,
# and a blocking read that ends because the master has become a replica.
_REFUSALS = ("MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY ", "UNBLOCKED")


@dataclass(repr=False)
class SentinelSettings(RedisSettings):
    """arq's settings, with the credentials of the sentinels themselves."""

    sentinel_username: str | None = None
    sentinel_password: str | None = None


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Raise Unavailable for every error that means that Redis is unavailable, or cannot write now."""
    try:
        yield
    except _AWAY as error:
        msg = f"Redis does not serve: {type(error).__name__}: {error}"
        raise Unavailable(msg) from error
    except faults.ResponseError as error:
        if not str(error).startswith(_REFUSALS):
            raise
        msg = f"Redis does not serve: {error}"
        raise Unavailable(msg) from error


def settings_of(url: str) -> RedisSettings:
    """Turn an address into arq's settings; raises InvalidOptions. `domain.redis_address` has the forms."""
    address = redis_address.parse(url)
    common: dict[str, Any] = {
        "database": address.database,
        "username": address.username,
        "password": address.password,
        "ssl": address.has_tls,
    }
    if address.master is not None:
        return SentinelSettings(
            host=list(address.hosts),
            sentinel=True,
            sentinel_master=address.master,
            sentinel_username=address.sentinel_username,
            sentinel_password=address.sentinel_password,
            **common,
        )
    if address.path is not None:
        return RedisSettings(unix_socket_path=address.path, **common)
    [(host, port)] = address.hosts
    return RedisSettings(host=host, port=port, **common)


class MasterPool(SentinelConnectionPool):
    """Connections to the master that the sentinels name; closed with those to the sentinels."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - as redis-py
        """Close the idle connections, when the master is another; or all, and then the sentinels' as well."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def client(
    settings: RedisSettings, *, answer_timeout: float | None = ANSWER_TIMEOUT, most: int = 0, **options: Any
) -> ArqRedis:
    """Make a client (no connection is opened yet); `answer_timeout` in seconds, None for blocking reads.

    `most` limits the number of its connections; further callers wait for one.
    """
    common: dict[str, Any] = {
        "db": settings.database,
        "username": settings.username,
        "password": settings.password,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": answer_timeout,
        "retry": Retry(NoBackoff(), 0),  # never by itself: a script whose answer was lost has been run
    }
    tls: dict[str, Any] = {}
    if settings.ssl:
        tls = {
            "ssl": True,
            "ssl_keyfile": settings.ssl_keyfile,
            "ssl_certfile": settings.ssl_certfile,
            "ssl_cert_reqs": settings.ssl_cert_reqs,
            "ssl_ca_certs": settings.ssl_ca_certs,
            "ssl_ca_data": settings.ssl_ca_data,
            "ssl_check_hostname": settings.ssl_check_hostname,
        }
    if settings.sentinel:
        asking = for_sentinels(*(getattr(settings, f"sentinel_{name}", None) for name in ("username", "password")))
        sentinel: Any = Sentinel(list(settings.host), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        about = {"redis_class": ArqRedis, "connection_pool_class": MasterPool}
        made: ArqRedis = sentinel.master_for(settings.sentinel_master, **about, **common, **tls)
    elif settings.unix_socket_path:
        made = ArqRedis(unix_socket_path=settings.unix_socket_path, **common)
    else:
        made = ArqRedis(host=settings.host, port=settings.port, **common, **tls)
    pool: Any = made.connection_pool
    pool.connection_class = swift(pool.connection_class)
    if most:
        keep_few(pool, most)
    for name, value in options.items():
        setattr(made, name, value)
    return made


def for_sentinels(username: str | None, password: str | None) -> dict[str, Any]:
    """Return the arguments of connections to the sentinels themselves."""
    return {"socket_timeout": CONNECT_TIMEOUT, "username": username, "password": password}


async def check(redis: ArqRedis, address: str) -> None:
    """Raise Unavailable, naming the address without its password, unless Redis answers."""
    try:
        await redis.ping()
    except (faults.RedisError, OSError) as error:
        msg = f"no Redis at {without_password(address)}: {error}"
        raise Unavailable(msg) from None


def settings_of_client(redis: ArqRedis) -> RedisSettings:
    """Return settings for the Redis of a client that was made elsewhere (arq's `redis_pool=`)."""
    pool: Any = redis.connection_pool
    used = pool.connection_kwargs
    known = {
        "host": "host",
        "port": "port",
        "path": "unix_socket_path",
        "db": "database",
        "username": "username",
        "password": "password",
    }
    found = {ours: used[theirs] for theirs, ours in known.items() if used.get(theirs) is not None}
    if not isinstance(pool, SentinelConnectionPool):
        return RedisSettings(**found)
    sentinels = [one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels]
    return SentinelSettings(
        **found,
        host=[(one["host"], one["port"]) for one in sentinels],
        sentinel=True,
        sentinel_master=pool.service_name,
        sentinel_username=sentinels[0].get("username"),
        sentinel_password=sentinels[0].get("password"),
    )
