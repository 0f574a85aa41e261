"""Counters that the scripts keep as they go."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offload.domain.records import FunctionStats, Point
from offload.domain.states import Status
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.fleet import queues

_HOUR_MS = 3_600_000
# Counted besides the endings: the ms that successful attempts ran, and steps over their loop budget.
_RAN, _OVER = "ms", "over"


async def counts_by_status(redis: RedisClient) -> dict[str, int]:
    """Return the number of kept jobs of each stored status."""
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for status in Status:
            pipe.zcard(keys.JOBS + status)
        return dict(zip(map(str, Status), await pipe.execute(), strict=True))


async def endings_by_function(redis: RedisClient, now_ms: int, hours: int = 24) -> dict[str, dict[str, int]]:
    """Return the number of endings of each function in the last hours: `{"mail.send": {"succeeded": 12, …}}`."""
    return _by_function(await _rows(redis, [f"{keys.COUNTS}{hour}" for hour in _last(now_ms, _HOUR_MS, hours)]))


async def recent(redis: RedisClient, now_ms: int) -> dict[str, FunctionStats]:
    """Return the endings and the mean run time of each function in the last 24 hours."""
    rows = await _rows(redis, [f"{keys.COUNTS}{hour}" for hour in _last(now_ms, _HOUR_MS, 24)])
    ran = _sums(rows, only=_RAN)
    return {
        name: FunctionStats(endings, _mean(ran.get(f"{_RAN} {name}"), endings.get("succeeded")))
        for name, endings in _by_function(rows).items()
    }


async def series(redis: RedisClient, now_ms: int, step: Literal["minute", "hour"]) -> list[Point]:
    """Return how attempts ended in each of the last 60 minutes, or 24 hours, oldest first; the last is under way."""
    step_ms, count, prefix = (60_000, 60, keys.MINUTE) if step == "minute" else (_HOUR_MS, 24, keys.COUNTS)
    starts = _last(now_ms, step_ms, count)
    rows = await _rows(redis, [f"{prefix}{start}" for start in starts])
    return [_point(start * step_ms, row) for start, row in zip(starts, rows, strict=True)]


async def totals(redis: RedisClient) -> tuple[dict[tuple[str, str], int], dict[str, int], dict[str, int]]:
    """Return attempts by ending and function, run time in ms by function, and steps over the loop budget.

    All since the data was created; the last is by function too.
    """
    (row,) = await _rows(redis, [keys.TOTALS])
    counters = [(name.decode().partition(" "), int(n)) for name, n in row.items()]
    endings = {(ending, function): n for (ending, _, function), n in counters if ending not in (_RAN, _OVER)}
    ran = {function: n for (ending, _, function), n in counters if ending == _RAN}
    return endings, ran, {function: n for (ending, _, function), n in counters if ending == _OVER}


async def summary(redis: RedisClient, now_ms: int) -> dict[str, Any]:
    """Return counts by status, the queues' depths, and endings by function over the last 24 hours."""
    depths = await queues.states(redis, await queues.known(redis), now_ms)
    return {
        "statuses": await counts_by_status(redis),
        "queues": {
            q.name: {"queued": q.queued, "deferred": q.deferred, "running": q.running, "paused": q.paused}
            for q in depths
        },
        "functions": await endings_by_function(redis, now_ms),
    }


async def prune(redis: RedisClient, limit: int = 1000, abort_age_ms: int = _HOUR_MS) -> int:
    """Remove up to `limit` expired records; return the number removed."""
    return int(await scripts.run(redis, "prune", limit=limit, abort_age_ms=abort_age_ms))


_Row = Mapping[bytes, bytes]


def _last(now_ms: int, step_ms: int, count: int) -> range:
    return range(now_ms // step_ms - count + 1, now_ms // step_ms + 1)


async def _rows(redis: RedisClient, names: Sequence[str]) -> list[_Row]:
    with reaching_redis():
        pipe = redis.pipeline(transaction=False)
        for name in names:
            pipe.hgetall(name)
        rows: list[_Row] = await pipe.execute()
    return rows


def _sums(rows: Sequence[_Row], only: str | None = None) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        for counter, n in row.items():
            name = counter.decode()
            kind = name.partition(" ")[0]
            if kind == only or (only is None and kind not in (_RAN, _OVER)):
                found[name] = found.get(name, 0) + int(n)
    return found


def _by_function(rows: Sequence[_Row]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for counter, n in _sums(rows).items():
        ending, _, function = counter.partition(" ")
        found.setdefault(function, {})[ending] = n
    return found


def _point(at_ms: int, row: _Row) -> Point:
    endings: dict[str, int] = {}
    for counter, n in _sums([row]).items():
        ending = counter.partition(" ")[0]
        endings[ending] = endings.get(ending, 0) + n
    return Point(at_ms, endings, _mean(sum(_sums([row], only=_RAN).values()), endings.get("succeeded")))


def _mean(total_ms: int | None, count: int | None) -> float | None:
    return round((total_ms or 0) / count, 1) if count else None
