"""The worker's inbox: a blocking read of what is said to this worker alone, so that nothing has to be polled for."""

from collections.abc import Callable
from typing import NamedTuple

from offload.domain.errors import Unavailable
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.fleet import inboxes

_BLOCK_S = 5.0
_PROBE_S = 0.05  # after a failure: whether Redis is back is to be known sooner


class InboxHandlers(NamedTuple):
    """Who is told what: `lost` the job and since when (ms), `overrides` that functions were moved."""

    wake: Callable[[], None]
    abort: Callable[[str], None]
    lost: Callable[[str, int], None]
    overrides: Callable[[], None]


async def read(redis: RedisClient, worker: str, outage: RedisOutage, heard: InboxHandlers) -> None:
    """Deliver messages until cancelled. Redis may go away meanwhile."""
    block = _BLOCK_S
    while True:
        try:
            message = await inboxes.next_message(redis, worker, block)
        except Unavailable as error:
            await outage.pause("inbox", error)
            heard.wake()
            block = _PROBE_S
            continue
        outage.served("inbox")
        block = _BLOCK_S
        verb, _, about = (message or "").partition(" ")
        if verb == "wake":
            heard.wake()
        elif verb == "abort":
            heard.abort(about)
        elif verb == "lost":
            at_ms, _, job_id = about.partition(" ")
            heard.lost(job_id, int(at_ms))
        elif verb == "overrides":
            heard.overrides()
