"""A blocking client of Redis, for threads and processes without an event loop: the guardian's, a stall writer's.

Its address is plain data, so that it can be handed to another process as JSON.
"""

from collections.abc import Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from offload.store.connection.connection import ANSWER_TIMEOUT, CONNECT_TIMEOUT, for_sentinels

# The fields of RedisSettings, arq's or ours, that a client is made from.
FIELDS = (
    "host", "port", "unix_socket_path", "database", "username", "password",
    "sentinel", "sentinel_master", "sentinel_username", "sentinel_password",
    "ssl", "ssl_keyfile", "ssl_certfile", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_data", "ssl_check_hostname",
)  # fmt: skip


def portable(settings: Any) -> dict[str, Any]:
    """Return arq's RedisSettings as JSON can carry them."""
    return {name: getattr(settings, name, None) for name in FIELDS}


def connect(address: Mapping[str, Any], *, answer_timeout: float = ANSWER_TIMEOUT) -> Any:
    """Return a client for an address as from `portable`; no connection is opened yet. Timeouts are in seconds."""
    common: dict[str, Any] = {
        "db": address["database"],
        "username": address["username"],
        "password": address["password"],
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": answer_timeout,
        "retry": Retry(NoBackoff(), 1),
    }
    tls = {name: address[name] for name in FIELDS if name.startswith("ssl_")} if address["ssl"] else {}
    if address["ssl"]:
        tls["ssl"] = True
    if address["sentinel"]:
        hosts = [tuple(host) for host in address["host"]]
        sentinel_options = for_sentinels(address.get("sentinel_username"), address.get("sentinel_password"))
        sentinel: Any = Sentinel(hosts, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(address["sentinel_master"], **common, **tls)
    if address["unix_socket_path"]:
        return redis.Redis(unix_socket_path=address["unix_socket_path"], **common)
    return redis.Redis(host=address["host"], port=address["port"], **common, **tls)


def close(client: Any) -> None:
    """Close a client's connections, and those to sentinels."""
    client.close()
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    for sentinel in manager.sentinels if manager else ():
        sentinel.close()
