"""The worker's inbox: a blocking read of what is said to this worker alone, so that nothing has to be polled for."""

from collections.abc import Callable

from service.domain.errors import Unavailable
from service.store import inboxes
from service.store.away import Away
from service.store.connection import RedisClient

_BLOCK_S = 5.0
_PROBE_S = 0.05  # after a failure: whether Redis is back is to be known sooner


async def read(
    redis: RedisClient,
    worker: str,
    away: Away,
    *,
    wake: Callable[[], None],
    abort: Callable[[str], None],
    lost: Callable[[str, int], None],
) -> None:
    """Deliver messages until cancelled; `lost` is told the job and since when (ms). Redis may go away meanwhile."""
    block = _BLOCK_S
    while True:
        try:
            message = await inboxes.next_message(redis, worker, block)
        except Unavailable as error:
            await away.pause("inbox", error)
            wake()
            block = _PROBE_S
            continue
        away.served("inbox")
        block = _BLOCK_S
        verb, _, about = (message or "").partition(" ")
        if verb == "wake":
            wake()
        elif verb == "abort":
            abort(about)
        elif verb == "lost":
            at_ms, _, job_id = about.partition(" ")
            lost(job_id, int(at_ms))
