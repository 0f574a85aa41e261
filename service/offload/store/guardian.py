"""The leases of one worker as its guardian sees them, over a blocking client: no event loop that a job could hold."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from offload.domain.errors import ErrorInfo
from offload.store import keys
from offload.store.connection import blocking, scripts
from offload.store.connection.connection import reaching_redis
from offload.store.connection.script_arguments import Arg
from offload.store.fleet import stalls


class Renewed(NamedTuple):
    """The answer to a renewal: leases that were lost, jobs past their limit, seconds until the next one is past its."""

    lost: list[str]
    overdue: list[str]
    next_in: float | None


class LeaseGuard:
    """Renews and releases the leases of one worker."""

    def __init__(self, address: Mapping[str, Any], worker: str, lease_ms: int) -> None:
        self.worker = worker
        self.lease_ms = lease_ms
        self._redis: Any = blocking.connect(address)

    def renew(self) -> Renewed:
        """Extend the leases that the worker holds. Raises Unavailable."""
        lost, overdue, left = self._run("renew", lease_ms=self.lease_ms)
        return Renewed([i.decode() for i in lost], [i.decode() for i in overdue], None if left < 0 else left / 1000)

    def release(
        self, max_tries: int, dead_ttl_ms: int, reason: ErrorInfo, culprit: str | None = None
    ) -> tuple[list[str], list[str]]:
        """Release the worker's jobs; return the ids requeued and those now dead. Raises Unavailable.

        If the `culprit` is known, the job that caused the death, only its attempt counts.
        """
        requeued, dead = self._run(
            "release",
            max_tries=max_tries,
            dead_ttl_ms=dead_ttl_ms,
            reason=json.dumps(reason.as_dict()),
            culprit=culprit or "",
        )
        return [i.decode() for i in requeued], [i.decode() for i in dead]

    def running(self) -> list[tuple[str, str | None]]:
        """Return id and function of each job that the worker runs by Redis' account. Raises Unavailable."""
        with reaching_redis():
            ids = [i.decode() for i in self._redis.zrange(keys.RUNNING + self.worker, 0, -1)]
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.hget(keys.RECORD + job_id, "function")
            return [(i, name.decode() if name else None) for i, name in zip(ids, pipe.execute(), strict=True)]

    def record_stall(self, stall: Mapping[str, Any]) -> None:
        """Record a stall of the worker's event loop. Raises Unavailable."""
        stalls.write(self._redis, dict(stall), self.worker)

    def close(self) -> None:
        """Close the connection, and those to sentinels."""
        blocking.close(self._redis)

    def _run(self, script: str, **named: Arg) -> Any:
        return scripts.run_blocking(self._redis, script, now=0, worker=self.worker, **named)
