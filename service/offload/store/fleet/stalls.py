"""Stalls of event loops: recorded by one script, listed, grouped by cause; and those under way."""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

import orjson

from offload.domain import stalls
from offload.domain.clock import now_ms, rfc3339
from offload.domain.errors import InvalidOptions, Unavailable
from offload.domain.filters import StallFilter
from offload.domain.records import StallGroup
from offload.store import keys
from offload.store.connection import blocking, scripts
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.fleet import capped_stream

FRESH_S = 15
"""Seconds until a stall under way expires without a new report of its process."""
_WAITING = 200  # records that one process keeps while Redis is unavailable
_AGAIN_S = 2.0  # until it tries again: meanwhile others are only logged, and wait for no Redis
_LATE_MS = 1000  # a record that is written later than this brings its own time

Stall = dict[str, Any]
EVERY = StallFilter()


async def list_stalls(
    redis: RedisClient, limit: int, cursor: str | None, which: StallFilter = EVERY
) -> tuple[list[Stall], str | None]:
    """Return a page of the stalls that fit, newest first; raises InvalidOptions for an invalid cursor."""

    def fits(stall: Stall) -> bool:
        return which.matches(stall) and which.is_in_window(stall["at"])

    return await capped_stream.list_entries(
        redis, keys.STALLS, limit, cursor, None if which == EVERY else fits, which.after_ms
    )


async def ongoing(redis: RedisClient, at_ms: int, which: StallFilter = EVERY) -> list[Stall]:
    """Return the stalls under way, the longest first: `at` is their beginning, `held_ms` the time so far."""
    with reaching_redis():
        processes = await redis.zrangebyscore(keys.ONGOING, at_ms, "+inf")
        found = await redis.mget([keys.STALLING + one.decode() for one in processes]) if processes else []
    held = []
    for known in (orjson.loads(value) for value in found if value):
        since_ms = known["since"]
        stall = {**known["stall"], "at": rfc3339(since_ms), "held_ms": max(0, at_ms - since_ms)}
        if which.matches(stall):
            held.append(stall)
    return sorted(held, key=lambda stall: str(stall["at"]))


async def groups(redis: RedisClient, limit: int, cursor: str | None) -> tuple[list[StallGroup], str | None]:
    """Return a page of groups, most time held first, and the cursor of the next; raises InvalidOptions."""
    with reaching_redis():
        ranked = await redis.zrevrange(keys.STALL_GROUPS, 0, -1, withscores=True)
    places = [(int(held), fingerprint.decode()) for fingerprint, held in ranked]
    if cursor is not None:
        last = _place(cursor)
        places = [one for one in places if one < last]
    shown = places[:limit]
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for _, fingerprint in shown:
            pipe.hgetall(keys.STALL_GROUP + fingerprint)
        rows = await pipe.execute() if shown else []
    found = [_group(one, row) for (_, one), row in zip(shown, rows, strict=True) if row]
    return found, f"{shown[-1][0]}-{shown[-1][1]}" if len(places) > limit else None


async def totals(redis: RedisClient) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the number of stalls since the data was created, and their ms, by kind and name."""
    with reaching_redis():
        row = {counter.decode(): int(n) for counter, n in (await redis.hgetall(keys.STALL_TOTALS)).items()}
    return {
        (kind, name): (count, row.get(f"ms {kind} {name}", 0))
        for (kind, _, name), count in ((counter.partition(" "), n) for counter, n in row.items())
        if kind != "ms"
    }


async def clear(redis: RedisClient) -> int:
    """Forget all stalls and groups; return how many stalls were listed."""
    return int(await scripts.run(redis, "clear"))


def blaming(redis: Any, workers: Collection[str]) -> list[Stall]:
    """Return the stalls of these workers that blame someone, oldest first, over a blocking connection."""
    with reaching_redis():
        rows = redis.xrange(keys.STALLS)
    found = [orjson.loads(fields[b"e"]) for _, fields in rows]
    return [one for one in found if one["kind"] in stalls.BLAMING and one.get("worker") in workers]


def write(redis: Any, stall: Mapping[str, Any], process: str) -> None:
    """Record a stall of a process, over a blocking client. Raises Unavailable."""
    record = {**stall, "fingerprint": stalls.fingerprint_of(stall)}
    kind, name = record["kind"], stalls.counted_name(record)
    scripts.run_blocking(
        redis,
        "stall",
        record=orjson.dumps(record),
        event=orjson.dumps(stalls.event(record)),
        job_id=record.get("job_id") or "",
        fingerprint=record["fingerprint"],
        kind=kind,
        name=name,
        held_ms=record["held_ms"],
        process=process,
        blames=int(kind in stalls.BLAMING),
    )


class StallWriter:
    """Records the stalls of one process over a blocking connection of its own, for one thread.

    While Redis is unavailable the latest wait here; `lost` counts those beyond the limit, or never written.
    """

    def __init__(self, connect: Callable[[], Any], process: str) -> None:
        self._connect = connect
        self._process = process
        self._redis: Any = None
        self._waiting: deque[tuple[int, Stall]] = deque()
        self._again_at = 0.0
        self.lost = 0

    def keep(self, stall: Stall) -> None:
        """Record a stall, now or when Redis is available again."""
        self._waiting.append((now_ms(), stall))
        if len(self._waiting) > _WAITING:
            self._waiting.popleft()
            self.lost += 1
        self.flush()

    def flush(self) -> bool:
        """Write the waiting records, unless Redis was just unavailable; return whether some still wait."""
        while self._waiting and time.monotonic() >= self._again_at:
            at_ms, stall = self._waiting.popleft()
            is_late = now_ms() - at_ms > _LATE_MS
            try:
                write(self._connection(), {"at": rfc3339(at_ms), **stall} if is_late else stall, self._process)
            except Unavailable:
                self._waiting.appendleft((at_ms, stall))
                self._again_at = time.monotonic() + _AGAIN_S
        return bool(self._waiting)

    def blocked(self, stall: Stall, *, is_news: bool) -> None:
        """Report a stall under way; with `is_news` the feed gets an event."""
        if time.monotonic() < self._again_at:
            return
        try:
            scripts.run_blocking(
                self._connection(),
                "blocked",
                record=orjson.dumps(stall),
                event=orjson.dumps(stalls.event(stall)) if is_news else b"",
                job_id=stall.get("job_id") or "",
                process=self._process,
                held_ms=stall["held_ms"],
                ttl_s=FRESH_S,
            )
        except Unavailable:
            self._again_at = time.monotonic() + _AGAIN_S

    def close(self) -> None:
        """Write the waiting records, or count them as lost, and close the connection."""
        self._again_at = 0.0
        self.flush()
        self.lost += len(self._waiting)
        self._waiting.clear()
        if self._redis is not None:
            blocking.close(self._redis)

    def _connection(self) -> Any:
        if self._redis is None:
            self._redis = self._connect()
        return self._redis


def _group(fingerprint: str, row: Mapping[bytes, bytes]) -> StallGroup:
    number = {name: int(row[name]) for name in (b"count", b"held", b"max", b"first", b"last")}
    last = {"at": rfc3339(number[b"last"]), **orjson.loads(row[b"record"])}
    counted = (number[b"count"], number[b"held"], number[b"max"], number[b"first"], number[b"last"])
    return StallGroup(fingerprint, *counted, last)


def _place(cursor: str) -> tuple[int, str]:
    held, dash, fingerprint = cursor.partition("-")
    if not (dash and held.isascii() and held.isdigit() and len(held) <= 18):
        msg = f"{cursor!r} is not a cursor; pass the `next` of a page unchanged"
        raise InvalidOptions(msg)
    return int(held), fingerprint
