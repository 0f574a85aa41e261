"""Addresses of Redis as values: the forms that are accepted, and the parts of each. Nothing connects here."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from offload.domain.errors import InvalidOptions

DEFAULT_URL = "redis://127.0.0.1:6379/0"
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel")
_PORT, _SENTINEL_PORT = 6379, 26379
_PASSWORD = re.compile(r"(//[^/@]*:)[^@]*(?=@)|(sentinel_password=)[^&]*")


@dataclass(frozen=True, slots=True, repr=False)
class RedisAddress:
    """The parts of an address: `path` of a unix socket, else `hosts`, which are sentinels where there is a `master`."""

    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    database: int = 0
    username: str | None = None
    password: str | None = None
    has_tls: bool = False
    master: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None


def parse(url: str) -> RedisAddress:
    """Return the parts of an address; raises InvalidOptions, with a message that does not show the password.

    `redis://[user:password@]host[:port][/db]`, `rediss://…` (TLS), `unix:///path?db=0`,
    `redis+sentinel://[user:password@]host:port,host:port/master[/db][?sentinel_username=…&sentinel_password=…]`.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ValueError(parts.scheme)  # noqa: TRY301 - one refusal for all that is wrong
        return _sentinels(parts) if parts.scheme == "redis+sentinel" else _server(parts)
    except ValueError:
        msg = (
            f"{without_password(url)!r} is not a Redis address: use redis://host:6379/0, rediss://…, unix:///path?db=0 "
            "or redis+sentinel://host:26379/master/0"
        )
        raise InvalidOptions(msg) from None


def has_known_scheme(url: str) -> bool:
    """Return True for an address with the scheme of a Redis address."""
    return urlsplit(url).scheme in SCHEMES


def without_password(url: str) -> str:
    """Return an address as it may be logged."""
    return _PASSWORD.sub(r"\1\2***", url)


def _server(parts: SplitResult) -> RedisAddress:
    username, password = _credentials(parts)
    database = parse_qs(parts.query).get("db")
    if parts.scheme == "unix":
        path, number = unquote(parts.path), int(database[0] if database else 0)
        return RedisAddress(path=path, database=number, username=username, password=password)
    return RedisAddress(
        hosts=((parts.hostname or "localhost", parts.port or _PORT),),
        database=int(database[0] if database else parts.path.strip("/") or 0),
        username=username,
        password=password,
        has_tls=parts.scheme == "rediss",
    )


def _sentinels(parts: SplitResult) -> RedisAddress:
    username, password = _credentials(parts)
    master, _, database = parts.path.strip("/").partition("/")
    sentinels = [urlsplit(f"//{host}") for host in parts.netloc.rpartition("@")[2].split(",")]
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return RedisAddress(
        hosts=tuple((sentinel.hostname or "localhost", sentinel.port or _SENTINEL_PORT) for sentinel in sentinels),
        database=int(database or 0),
        username=username,
        password=password,
        master=unquote(master) or "mymaster",
        sentinel_username=query.get("sentinel_username"),
        sentinel_password=query.get("sentinel_password"),
    )


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    return unquote(parts.username) if parts.username else None, unquote(parts.password) if parts.password else None
