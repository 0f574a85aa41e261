"""What a process does while Redis is away: it waits longer and longer, and says so once, and once when it is back."""

import asyncio
import random
import time
from typing import Any

import structlog

from offload.domain.outages import RECONNECT, Outage

log = structlog.get_logger(__name__)


class RedisOutage:
    """Shared by all that loop against Redis in one process; `about` goes into its two lines of the log."""

    def __init__(self, **about: Any) -> None:
        self._about = about
        self._outage = Outage()

    def failed(self, part: str, error: Exception) -> float:
        """Note that Redis did not serve a part; return the seconds that it should wait before it tries again."""
        failures, begins = self._outage.failed(part, time.monotonic())
        if begins:
            log.warning("redis_unavailable", part=part, error=str(error), **self._about)
        return RECONNECT.pause(failures, random.random())  # noqa: S311 - spreads tries, keeps no secret

    async def pause(self, part: str, error: Exception) -> None:
        """Wait before the part's next try."""
        await asyncio.sleep(self.failed(part, error))

    def served(self, part: str) -> None:
        """Note that Redis served a part; it costs next to nothing while nothing is wrong."""
        if lasted := self._outage.served(part, time.monotonic()):
            log.warning("redis_recovered", unavailable_s=round(lasted[0], 1), tries=lasted[1], **self._about)
