"""Outages of Redis in one process: longer and longer pauses, with one log event at the start and one at the end."""

import asyncio
import random
import time
from typing import Any

import structlog

from offload.domain.outages import RECONNECT, Outage

log = structlog.get_logger(__name__)


class RedisOutage:
    """Shared by all loops of one process that need Redis; `about` goes into its two log events."""

    def __init__(self, **about: Any) -> None:
        self._about = about
        self._outage = Outage()

    def failed(self, part: str, error: Exception) -> float:
        """Count a failure of a part; return the seconds to wait before its next try."""
        failures, begins = self._outage.failed(part, time.monotonic())
        if begins:
            log.warning("redis_unavailable", part=part, error=str(error), **self._about)
        return RECONNECT.pause(failures, random.random())  # noqa: S311 - spreads tries, keeps no secret

    async def pause(self, part: str, error: Exception) -> None:
        """Wait before the part's next try."""
        await asyncio.sleep(self.failed(part, error))

    def served(self, part: str) -> None:
        """Count a success of a part; this costs next to nothing while there is no outage."""
        if lasted := self._outage.served(part, time.monotonic()):
            log.warning("redis_recovered", unavailable_s=round(lasted[0], 1), tries=lasted[1], **self._about)
