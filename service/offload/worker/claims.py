"""Claims of one worker: it asks for jobs when there may be some and a slot is free, and waits otherwise.

It waits for an event that the inbox sets (a wake-up, a freed slot), for the next due time, and at most one poll: stock
producers wake no worker.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from offload.store.connection.connection import RedisClient
from offload.store.jobs import leases
from offload.store.jobs.leases import AttemptEnd, Claimed

log = structlog.get_logger(__name__)


class Claims:
    """Claims jobs for one worker; `engine` calls it in a loop."""

    def __init__(
        self,
        redis: RedisClient,
        worker: str,
        queues: Sequence[str],
        *,
        lease_ms: int,
        timeout_ms: int,
        grace_ms: int,
        poll: float,
        batch: int,
        free: Callable[[], int],
        appetite: Callable[[str], int],
        start: Callable[[Claimed, float], None],
        abort: Callable[[str], None],
    ) -> None:
        self._redis = redis
        self._worker = worker
        self._queues = queues
        self._lease_ms = lease_ms
        self._timeout_ms = timeout_ms
        self._grace_ms = grace_ms
        self._poll = poll
        self._free = free
        self._appetite = appetite
        self._start = start
        self._abort = abort
        self._batch = batch
        self._sequence = 0
        self._more = asyncio.Event()
        self._has_left = False
        self._next_due_at: float | None = None  # on the loop's clock
        self.is_unsure = False

    def wake(self) -> None:
        """Claim soon: a job was enqueued."""
        self._more.set()

    def slot_freed(self) -> None:
        """Claim soon if due jobs had to be left: a job has ended."""
        if self._has_left:
            self._more.set()

    async def claim_jobs(self, limit: int | None = None) -> int:
        """Claim once, start what came, and return how many; `limit` caps the slots (arq's burst limit).

        An answer older than a lease (this process was stopped, or its loop held) starts nothing: the jobs may run
        elsewhere by now. The claim is then unsure, like one with a lost answer.
        """
        self._more.clear()
        self._sequence += 1
        self.is_unsure = True
        slots = min(self._free(), self._batch if limit is None else limit)
        good_until = asyncio.get_running_loop().time() + self._lease_ms / 1000
        claim = await leases.claim(
            self._redis,
            self._worker,
            self._sequence,
            lease_ms=self._lease_ms,
            slots=slots,
            timeout_ms=self._timeout_ms,
            grace_ms=self._grace_ms,
            queues=[(queue, self._appetite(queue)) for queue in self._queues],
        )
        if claim.jobs and asyncio.get_running_loop().time() >= good_until:
            self._more.set()
            return 0
        self.is_unsure = False
        for job in claim.jobs:
            self._start(job, good_until)
        for job_id in claim.to_abort:
            self._abort(job_id)
        self._has_left = claim.has_left
        self._next_due_at = None
        if claim.next_due_ms is not None:  # by the clock of Redis; ours may be off
            self._next_due_at = asyncio.get_running_loop().time() + (claim.next_due_ms - claim.now_ms) / 1000
        if claim.has_left and 0 < len(claim.jobs) == slots and self._free() > 0:
            self._more.set()  # more were due than one call takes; these run while the next is under way
        return len(claim.jobs)

    async def release_unknown(self, known: Mapping[str, str]) -> list[str]:
        """Requeue, and return, jobs that a claim gave this worker in an answer that was lost with the connection.

        Otherwise the guardian would renew their leases until their deadline, and no worker would run them. `known` are
        the tokens of the running jobs: if a job still runs here by an older claim, the new claim is released too.
        """
        held = await leases.held(self._redis, self._worker)
        unknown = [
            AttemptEnd(job_id, token, "requeued", "") for job_id, token in held.items() if known.get(job_id) != token
        ]
        if unknown:
            log.warning("claims_released", job_ids=[end.id for end in unknown])
            await leases.finish(self._redis, self._worker, unknown)
        self.is_unsure = False
        return [end.id for end in unknown]

    async def wait_for_jobs(self) -> None:
        """Wait until there may be something to claim."""
        timeout = self._poll
        if self._next_due_at is not None and self._free() > 0:
            timeout = min(timeout, max(0.0, self._next_due_at - asyncio.get_running_loop().time()))
        try:
            async with asyncio.timeout(timeout):
                await self._more.wait()
        except TimeoutError:
            return
