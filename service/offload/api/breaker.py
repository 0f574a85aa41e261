"""A circuit breaker: refuses calls at once while Redis is known not to answer.

If connections are refused, every call fails at once and no breaker is needed. If packets are dropped or the server
hangs, each call takes seconds to fail. The first such call starts a probe, one question at a time; while the probe is
unanswered all other calls are refused at once. No caller waits for a probe, and the breaker learns that Redis has
recovered before the next call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from offload.domain.errors import Unavailable

SLOW_S = 1.0
"""A call that fails after this long was not refused; it got no answer."""
PAUSE_S = 0.25


class Breaker:
    """`ask` raises Unavailable, within a second or so, if Redis does not answer."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[None] | None = None
        self._outage = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    @property
    def is_open(self) -> bool:
        """True while Redis is known not to answer."""
        return bool(self._outage)

    def check(self) -> None:
        """Raise Unavailable while Redis is known not to answer."""
        if self._outage:
            raise Unavailable(self._outage)

    def suspect(self) -> None:
        """Note that a call got no answer, and start a probe."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._probe_until_it_answers(), name="offload-breaker")

    async def _probe_until_it_answers(self) -> None:
        try:
            while True:
                try:
                    await self._ask()
                except Unavailable as error:
                    self._outage = str(error)
                else:
                    return
                await asyncio.sleep(PAUSE_S)
        finally:
            self._outage = ""
