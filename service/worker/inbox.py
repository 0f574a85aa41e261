"""The worker's inbox: a blocking read of what is said to this worker alone, so that nothing has to be polled for."""

import asyncio
from collections.abc import Callable

import structlog

from service.domain.errors import Unavailable
from service.store import inboxes
from service.store.connection import RedisClient

log = structlog.get_logger(__name__)
_BLOCK_S = 5
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)


async def read(
    redis: RedisClient,
    worker: str,
    *,
    wake: Callable[[], None],
    abort: Callable[[str], None],
    lost: Callable[[str, int], None],
) -> None:
    """Deliver messages until cancelled; `lost` is told the job and since when (ms). Redis may go away meanwhile."""
    failures = 0
    while True:
        try:
            message = await inboxes.next_message(redis, worker, _BLOCK_S)
            failures = 0
        except Unavailable as error:
            failures += 1
            if failures == 1:
                log.warning("inbox_interrupted", error=str(error))
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])
            wake()
            continue
        verb, _, about = (message or "").partition(" ")
        if verb == "wake":
            wake()
        elif verb == "abort":
            abort(about)
        elif verb == "lost":
            at_ms, _, job_id = about.partition(" ")
            lost(job_id, int(at_ms))
