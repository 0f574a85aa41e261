"""From an address to a connection; the one place that turns redis-py's exceptions into ours."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis.exceptions as faults
from arq.connections import ArqRedis, RedisSettings
from redis.asyncio import Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.domain.errors import InvalidOptions, Unavailable

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


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Raise Unavailable for whatever means that Redis is away, read-only or out of memory."""
    try:
        yield
    except _AWAY as error:
        msg = f"Redis does not serve: {type(error).__name__}: {error}"
        raise Unavailable(msg) from error


def settings_of(url: str) -> RedisSettings:
    """Turn an address into arq's settings.

    `redis://[user:password@]host[:port][/db]`, `rediss://…` (TLS), `unix:///path?db=0`,
    `redis+sentinel://[user:password@]host:port,host:port/master[/db]`.
    """
    parts = urlsplit(url)
    if parts.scheme == "redis+sentinel":
        hosts = [
            (host, int(port or 26379))
            for host, _, port in (one.partition(":") for one in parts.netloc.rpartition("@")[2].split(","))
        ]
        master, _, database = parts.path.strip("/").partition("/")
        return RedisSettings(
            host=hosts,
            sentinel=True,
            sentinel_master=master or "mymaster",
            database=int(database or 0),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )
    if parts.scheme not in ("redis", "rediss", "unix"):
        msg = f"{url!r} is no Redis address: write redis://host:6379/0, rediss://…, unix:///path or redis+sentinel://…"
        raise InvalidOptions(msg)
    settings = RedisSettings.from_dsn(url)
    if parts.scheme != "unix" and parse_qs(parts.query).get("db") is None and not parts.path.strip("/"):
        settings.database = 0
    return dataclasses.replace(
        settings,
        username=unquote(settings.username) if settings.username else None,
        password=unquote(settings.password) if settings.password else None,
    )


def client(settings: RedisSettings, *, answer_timeout: float | None = ANSWER_TIMEOUT, **options: Any) -> ArqRedis:
    """Make a client (no connection is opened yet); `answer_timeout` in seconds, None for blocking reads."""
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
        sentinel: Any = Sentinel(list(settings.host), socket_timeout=CONNECT_TIMEOUT)  # type: ignore[no-untyped-call]
        made: ArqRedis = sentinel.master_for(settings.sentinel_master, redis_class=ArqRedis, **common, **tls)
    elif settings.unix_socket_path:
        made = ArqRedis(unix_socket_path=settings.unix_socket_path, **common)
    else:
        made = ArqRedis(host=settings.host, port=settings.port, **common, **tls)
    for name, value in options.items():
        setattr(made, name, value)
    return made


async def check(redis: ArqRedis, address: str) -> None:
    """Raise Unavailable, naming the address without its password, unless Redis answers."""
    try:
        await redis.ping()
    except (faults.RedisError, OSError) as error:
        shown = urlsplit(address)
        hidden = address.replace(f":{shown.password}@", ":***@") if shown.password else address
        msg = f"no Redis at {hidden}: {error}"
        raise Unavailable(msg) from None


def settings_of_client(redis: ArqRedis) -> RedisSettings:
    """Return settings that reach the same Redis as a client that somebody else made (arq's `redis_pool=`)."""
    used = redis.connection_pool.connection_kwargs
    known = {
        "host": "host",
        "port": "port",
        "path": "unix_socket_path",
        "db": "database",
        "username": "username",
        "password": "password",
    }
    return RedisSettings(**{ours: used[theirs] for theirs, ours in known.items() if used.get(theirs) is not None})
