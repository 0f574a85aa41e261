"""A worker's maintenance while it runs jobs: its heartbeat, pruning in Redis, and removal of old artifact files."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from offload.documents.fleet import LoopDocument
from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable
from offload.domain.overrides import Override
from offload.loopwatch.watch import WatchedLoop
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.fleet import stats, workers
from offload.store.jobs.artifacts import ArtifactFiles

log = structlog.get_logger(__name__)
_INTERVAL = 5.0
_PRUNED_AT_ONCE = 500
_FILES_AT_ONCE = 1000
_FILES_REST = 3600.0  # seconds between two walks through all files: they are kept for days
_FUNCTIONS = 10


async def maintain(
    redis: RedisClient,
    worker: str,
    outage: RedisOutage,
    describe: Callable[[], dict[str, Any]],
    apply_overrides: Callable[[Awaitable[Mapping[str, Override]]], Awaitable[None]],
) -> None:
    """Send heartbeats and prune until cancelled, each as far as Redis allows: one without memory can still be pruned.

    `apply_overrides` takes the answer to each heartbeat: the overrides of job functions.
    """
    while True:
        pauses = [
            await _tried(outage, "heartbeat", apply_overrides(workers.heartbeat(redis, worker, describe()))),
            await _tried(outage, "prune", stats.prune(redis, _PRUNED_AT_ONCE)),
        ]
        await asyncio.sleep(min(pauses))


async def _tried(outage: RedisOutage, part: str, work: Awaitable[Any]) -> float:
    """Return the seconds until the work is to be done again."""
    try:
        await work
    except Unavailable as error:
        return outage.failed(part, error)
    outage.served(part)
    return _INTERVAL


async def remove_old_artifacts(
    files: ArtifactFiles, ttl_ms: int, *, interval: float = _INTERVAL, rest: float = _FILES_REST
) -> None:
    """Remove files that are older than `ttl_ms`, until cancelled: at most 1,000 are looked at in an interval.

    Every worker does so, each in an order of its own, so that workers that share a directory share the work as well. A
    disk that refuses is tried again after the rest.
    """
    while True:
        try:
            removed = await _walk(files, ttl_ms, interval)
        except OSError as error:
            log.warning("artifact_removal_failed", error=str(error))
        else:
            if removed:
                log.info("artifacts_removed", files=removed)
        await asyncio.sleep(rest)


async def _walk(files: ArtifactFiles, ttl_ms: int, interval: float) -> int:
    removed = 0
    folders = await asyncio.to_thread(files.folders)
    random.shuffle(folders)
    for folder in folders:
        names = await asyncio.to_thread(files.names, folder)
        for start in range(0, len(names), _FILES_AT_ONCE):
            before_s = (now_ms() - ttl_ms) / 1000
            removed += await asyncio.to_thread(files.remove_older_of, names[start : start + _FILES_AT_ONCE], before_s)
            await asyncio.sleep(interval)
    return removed


def describe_loop(watched: WatchedLoop | None) -> LoopDocument | None:
    """Return the figures of a loop since the last call, for heartbeats; None if it is not watched. Bounded."""
    if watched is None or watched.watch is None:
        return None
    figures, reporter = watched.watch.figures(), watched.reporter
    most = sorted(figures.loop_ns.items(), key=lambda pair: pair[1], reverse=True)[:_FUNCTIONS]
    return {
        "lag_ms": round(figures.lag_ms, 1),
        "max_lag_ms": round(figures.max_lag_ms, 1),
        "busy": round(figures.busy, 4),
        "functions": {name: round(ns / 1e6, 1) for name, ns in most},
        "stalls": reporter.kinds(),
        "stalls_dropped": reporter.dropped,
        "stalls_lost": reporter.lost,
    }
