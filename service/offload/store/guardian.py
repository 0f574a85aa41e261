"""What the guardian says to Redis, over a plain blocking connection: it has no event loop that a job could hold."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from offload.domain.errors import ErrorInfo
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import ANSWER_TIMEOUT, CONNECT_TIMEOUT, for_sentinels, reaching_redis
from offload.store.fleet import stalls

# The fields of RedisSettings, arq's or ours, that a guardian needs; they travel as JSON.
FIELDS = (
    "host", "port", "unix_socket_path", "database", "username", "password",
    "sentinel", "sentinel_master", "sentinel_username", "sentinel_password",
    "ssl", "ssl_keyfile", "ssl_certfile", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_data", "ssl_check_hostname",
)  # fmt: skip


def portable(settings: Any) -> dict[str, Any]:
    """Return arq's RedisSettings as JSON can carry them."""
    return {name: getattr(settings, name, None) for name in FIELDS}


class Renewed(NamedTuple):
    """What a renewal found: leases that were lost, jobs past their limit, seconds until the next one is past its."""

    lost: list[str]
    overdue: list[str]
    next_in: float | None


class LeaseGuard:
    """Renews and releases the leases of one worker."""

    def __init__(self, address: Mapping[str, Any], worker: str, lease_ms: int) -> None:
        self.worker = worker
        self.lease_ms = lease_ms
        self._redis: Any = connect(address)

    def renew(self) -> Renewed:
        """Extend the leases that the worker holds. Raises Unavailable."""
        lost, overdue, left = self._run("renew", self.worker, self.lease_ms)
        return Renewed([i.decode() for i in lost], [i.decode() for i in overdue], None if left < 0 else left / 1000)

    def release(
        self, max_tries: int, kept_ms: int, reason: ErrorInfo, culprit: str | None = None
    ) -> tuple[list[str], list[str]]:
        """Give the worker's jobs back; return the ids given back and those now dead. Raises Unavailable.

        Where the `culprit` is known, the job that cost the worker, no other job's attempt counts.
        """
        why = json.dumps(reason.as_dict())
        given, dead = self._run("release", self.worker, max_tries, kept_ms, why, culprit or "")
        return [i.decode() for i in given], [i.decode() for i in dead]

    def running(self) -> list[tuple[str, str | None]]:
        """Return id and function of what Redis says the worker runs. Raises Unavailable."""
        with reaching_redis():
            ids = [i.decode() for i in self._redis.zrange(keys.RUNNING + self.worker, 0, -1)]
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.hget(keys.RECORD + job_id, "function")
            return [(i, name.decode() if name else None) for i, name in zip(ids, pipe.execute(), strict=True)]

    def record_stall(self, stall: Mapping[str, Any]) -> None:
        """Keep what held the worker's event loop. Raises Unavailable."""
        stalls.write(self._redis, dict(stall), self.worker)

    def close(self) -> None:
        """Close the connection, and those to sentinels."""
        self._redis.close()
        manager = getattr(self._redis.connection_pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            sentinel.close()

    def _run(self, name: str, *args: scripts.Arg) -> Any:
        return scripts.run_blocking(self._redis, name, 0, *args)


def connect(address: Mapping[str, Any]) -> Any:
    """Return a blocking client for an address as from `portable`; no connection is opened yet."""
    common: dict[str, Any] = {
        "db": address["database"],
        "username": address["username"],
        "password": address["password"],
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": ANSWER_TIMEOUT,
        "retry": Retry(NoBackoff(), 1),
    }
    tls = {name: address[name] for name in FIELDS if name.startswith("ssl_")} if address["ssl"] else {}
    if address["ssl"]:
        tls["ssl"] = True
    if address["sentinel"]:
        hosts = [tuple(host) for host in address["host"]]
        asking = for_sentinels(address.get("sentinel_username"), address.get("sentinel_password"))
        sentinel: Any = Sentinel(hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        return sentinel.master_for(address["sentinel_master"], **common, **tls)
    if address["unix_socket_path"]:
        return redis.Redis(unix_socket_path=address["unix_socket_path"], **common)
    return redis.Redis(host=address["host"], port=address["port"], **common, **tls)
