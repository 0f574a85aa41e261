"""Actions on existing jobs, on one or on all that match a filter: abort, replay, forget."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from offload.domain.errors import Conflict, NotFound
from offload.domain.filters import ABORTABLE, ENDED_WITHOUT, IDS_SHOWN, RETRYABLE, BulkOutcome, Filter
from offload.domain.retention import Retention
from offload.domain.states import Status
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient, reaching_redis
from offload.store.connection.script_arguments import Arg
from offload.store.jobs import listing
from offload.store.jobs.codec import Codec, Payload, Undecodable
from offload.store.jobs.listing import Cursor

BULK_SECONDS = 5.0
"""The most time of a bulk call; one that is not done by then answers that there is more."""
_AT_ONCE = 500

Act = Callable[[Sequence[str]], Awaitable[list[str]]]


class Actions:
    """Changes existing jobs; each call is one script for up to 500 of them."""

    def __init__(self, redis: RedisClient, codec: Codec, retention: Retention) -> None:
        self._redis = redis
        self._codec = codec
        self._retention = retention

    async def abort(self, job_id: str, now_ms: int) -> str:
        """Ask for a job to be stopped; return `aborted`, `aborting`, or the terminal status it already has.

        Raises NotFound for an id that no queue knows; nothing is left behind for it.
        """
        [said] = await self._abort([job_id], now_ms)
        if said == "unknown":
            raise NotFound("job", job_id)
        return said

    async def replay(self, job_id: str) -> None:
        """Replay a dead or aborted job, or make a deferred or retrying one due now; raises NotFound, Conflict."""
        [said] = await self._run("replay", [job_id])
        if said == "unknown":
            raise NotFound("job", job_id)
        if said == "expired":
            msg = f"job {job_id} cannot be retried: its arguments are no longer kept"
            raise Conflict(msg)
        if said.startswith("held "):
            msg = f"job {job_id} cannot be retried: job {said[5:]} has its unique key and has not ended"
            raise Conflict(msg)
        if said != "queued":
            msg = f"job {job_id} is {said}; only a dead, aborted, deferred or retrying job can be retried"
            raise Conflict(msg)

    async def forget(self, job_id: str) -> None:
        """Remove a job that has ended, with all its data; raises NotFound, Conflict."""
        [said] = await self._run("forget", [job_id])
        if said == "unknown":
            raise NotFound("job", job_id)
        if said != "forgotten":
            msg = f"job {job_id} is {said}; only a job that has ended can be forgotten: abort it first"
            raise Conflict(msg)

    async def abort_all(self, which: Filter, limit: int, now_ms: int, *, dry_run: bool) -> BulkOutcome:
        """Abort jobs that fit, the newest of each status first, at most `limit`; raises InvalidOptions."""
        statuses = which.among(ABORTABLE, "aborted")
        if dry_run:
            return await self._count(which, statuses)

        async def act(ids: Sequence[str]) -> list[str]:
            return await self._abort(ids, now_ms)

        return await self._all(which, statuses, limit, act, {"aborted", "aborting"})

    async def replay_all(self, which: Filter, limit: int, *, dry_run: bool) -> BulkOutcome:
        """Replay jobs that fit, the newest of each status first, at most `limit`; raises InvalidOptions."""
        statuses = which.among(RETRYABLE, "retried", ENDED_WITHOUT)
        if dry_run:
            return await self._count(which, statuses)

        async def act(ids: Sequence[str]) -> list[str]:
            return await self._run("replay", ids)

        return await self._all(which, statuses, limit, act, {"queued"})

    async def _all(
        self, which: Filter, statuses: Sequence[Status], limit: int, act: Act, done_when: set[str]
    ) -> BulkOutcome:
        loop = asyncio.get_running_loop()
        ends = loop.time() + BULK_SECONDS
        ids: list[str] = []
        matched = done = 0
        for status in statuses:
            cursor: Cursor | None = Cursor()
            while cursor is not None:
                if matched >= limit or loop.time() >= ends:
                    return BulkOutcome(matched, done, is_dry_run=False, ids=tuple(ids), has_more=True)
                some = min(_AT_ONCE, limit - matched)
                piece = await listing.walk(
                    self._redis, replace(which, status=status), some, cursor, seconds=ends - loop.time()
                )
                if piece.ids:
                    said = await act(piece.ids)
                    done += sum(one in done_when for one in said)
                matched, cursor = matched + len(piece.ids), piece.following
                ids = [*ids, *piece.ids][:IDS_SHOWN]
        return BulkOutcome(matched, done, is_dry_run=False, ids=tuple(ids), has_more=False)

    async def _count(self, which: Filter, statuses: Sequence[Status]) -> BulkOutcome:
        loop = asyncio.get_running_loop()
        ends = loop.time() + BULK_SECONDS
        matched, ids, is_all = 0, (), True  # type: int, tuple[str, ...], bool
        for status in statuses:
            seconds = max(0.0, ends - loop.time())
            n, first, is_whole = await listing.count(self._redis, replace(which, status=status), seconds=seconds)
            matched, ids, is_all = matched + n, (ids + first)[:IDS_SHOWN], is_all and is_whole
        return BulkOutcome(matched, 0, is_dry_run=True, ids=ids, has_more=not is_all)

    async def _run(self, script: str, ids: Sequence[str]) -> list[str]:
        return [said.decode() for said in await scripts.run(self._redis, script, *ids)]

    async def _abort(self, ids: Sequence[str], now_ms: int) -> list[str]:
        """Abort jobs in one call, with the results for arq's `Job.result()`, which need the stored payload of each."""
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=False)
            pipe.mget([keys.ARQ_JOB + job_id for job_id in ids])
            pipe.smembers(keys.QUEUES)
            for job_id in ids:
                pipe.hget(keys.RECORD + job_id, "queue")
            payloads, names, *queues = await pipe.execute()
        known = sorted({"default", *(name.decode() for name in names)})
        ttls = {"result_ttl_ms": self._retention.result_ttl_ms, "dead_ttl_ms": self._retention.dead_ttl_ms}
        queues_and_jobs: list[Arg] = [*known]
        for job_id, data, queue in zip(ids, payloads, queues, strict=True):
            payload = self._payload(data)
            queue_key = keys.queue_key(queue.decode() if queue else "default")
            result = self._codec.encode_aborted(job_id, queue_key, payload, now_ms)
            queues_and_jobs += [job_id, result, payload.function if payload else ""]
        return [
            said.decode()
            for said in await scripts.run(self._redis, "abort", *queues_and_jobs, **ttls, queue_count=len(known))
        ]

    def _payload(self, data: bytes | None) -> Payload | None:
        try:
            return self._codec.decode_job(data) if data else None
        except Undecodable:
            return None
