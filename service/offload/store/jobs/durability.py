"""Confirmation of new jobs by replicas (`WAIT`) or disks (`WAITAOF`) before their caller gets an answer.

Both commands wait for the last write of their own connection, so they follow the script on the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import redis.exceptions as faults

from offload.domain.errors import Unavailable, Unconfirmed
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis

Fsync = Literal["off", "local", "all"]
_AT_ONCE = 8  # batches that wait for their confirmation; a disk that is written once a second holds each that long


@dataclass(frozen=True, slots=True)
class Confirm:
    """The copies of a job that must exist within `timeout` seconds before it counts as stored.

    `replicas` have it in memory; with `fsync` "local" also the master's disk, with "all" its and the replicas' disks.
    """

    replicas: int = 0
    fsync: Fsync = "off"
    timeout: float = 3.0

    @property
    def is_asked(self) -> bool:
        """True if there is anything to wait for."""
        return self.replicas > 0 or self.fsync != "off"

    @property
    def at_once(self) -> int:
        """The maximum number of batches of one process under way."""
        return _AT_ONCE if self.is_asked else 1

    @property
    def longest(self) -> float:
        """Seconds that this may take: a batch may have to wait for one before it."""
        return 2 * self.timeout if self.is_asked else 0.0


class Confirming:
    """Stores jobs as one script does, and returns when the required copies exist."""

    def __init__(self, redis: RedisClient, confirm: Confirm) -> None:
        self._redis = redis
        self._confirm = confirm
        self._is_able = confirm.fsync == "off"

    async def enqueue(self, ids: Sequence[str], argv: Sequence[scripts.Arg]) -> list[Any]:
        """Run enqueue.lua and return its answer; raises Unavailable, or Unconfirmed if it has run."""
        if not self._confirm.is_asked:
            return list(await scripts.run(self._redis, "enqueue", *argv))
        with reaching_redis():
            async with self._redis.client() as one:
                if not self._is_able:
                    await self._check(one)
                answer = list(await scripts.run(one, "enqueue", *argv))
                missing = await self._missing(one, has_written=all(put == 1 for put in answer[1:]))
        if missing is not None:
            raise Unconfirmed(ids, missing)
        return answer

    async def again(self, ids: Sequence[str]) -> None:
        """Wait again for the confirmation of stored jobs; raises Unavailable, Unconfirmed."""
        if not self._confirm.is_asked:
            return
        with reaching_redis():
            async with self._redis.client() as one:
                missing = await self._missing(one, has_written=False)
        if missing is not None:
            raise Unconfirmed(ids, missing)

    async def _check(self, one: RedisClient) -> None:
        """Raise Unavailable, before anything is stored, if the server cannot confirm a write to disk."""
        try:
            await one.execute_command("WAITAOF", 1, 0, 1)
        except faults.ReadOnlyError:
            raise
        except faults.ResponseError as error:
            msg = f"OFFLOAD_ENQUEUE_FSYNC needs Redis 7.2 or newer, with `appendonly yes`: {error}"
            raise Unavailable(msg) from None
        self._is_able = True

    async def _missing(self, one: RedisClient, *, has_written: bool) -> str | None:
        """Wait for the confirmations; return in words which are missing, None if none is."""
        confirm, ms = self._confirm, max(1, round(self._confirm.timeout * 1000))
        try:
            if not has_written:  # a job that was there already: Redis waits for nothing where nothing was written
                await one.execute_command("SET", keys.CONFIRM, 1, "PX", 1000)
            if confirm.fsync != "off":
                disks = confirm.replicas if confirm.fsync == "all" else 0
                local, others = await one.execute_command("WAITAOF", 1, disks, ms)
                if local < 1 or others < disks:
                    return f"{local + others} of {1 + disks} disks confirmed it within {confirm.timeout:g} s"
            if confirm.replicas and confirm.fsync != "all":
                found = await one.execute_command("WAIT", confirm.replicas, ms)
                if found < confirm.replicas:
                    return f"{found} of {confirm.replicas} replicas confirmed it within {confirm.timeout:g} s"
        except faults.ResponseError as error:
            return f"that could not be confirmed: {error}"
        except (faults.RedisError, OSError):  # what they say has the address
            return "Redis became unavailable before that was confirmed"
        return None
