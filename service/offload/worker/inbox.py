"""The worker's inbox: a blocking read of the messages to this worker alone, so that it need not poll."""

from collections.abc import Callable
from typing import NamedTuple

from offload.domain.errors import Unavailable
from offload.store.connection.connection import RedisClient
from offload.store.connection.outage import RedisOutage
from offload.store.fleet import inboxes

_BLOCK_S = 5.0
_PROBE_S = 0.05  # after a failure, to notice sooner that Redis is back


class InboxHandlers(NamedTuple):
    """One call for each kind of message: `lost` takes a job and the time (ms) its lease was lost by."""

    wake: Callable[[], None]
    abort: Callable[[str], None]
    lost: Callable[[str, int], None]
    overrides: Callable[[], None]


async def read_messages(redis: RedisClient, worker: str, outage: RedisOutage, handlers: InboxHandlers) -> None:
    """Deliver messages until cancelled, through outages of Redis."""
    block = _BLOCK_S
    while True:
        try:
            message = await inboxes.next_message(redis, worker, block)
        except Unavailable as error:
            await outage.pause("inbox", error)
            handlers.wake()
            block = _PROBE_S
            continue
        outage.served("inbox")
        block = _BLOCK_S
        kind, _, content = (message or "").partition(" ")
        if kind == "wake":
            handlers.wake()
        elif kind == "abort":
            handlers.abort(content)
        elif kind == "lost":
            at_ms, _, job_id = content.partition(" ")
            handlers.lost(job_id, int(at_ms))
        elif kind == "overrides":
            handlers.overrides()
