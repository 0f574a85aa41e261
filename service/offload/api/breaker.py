"""Spares callers the wait for a Redis that is known not to answer.

Where connections are refused every call fails at once, and nothing more is needed. Where packets are dropped, or the
server hangs, each call takes seconds to find out. So the first that does has Redis asked, by one question at a time;
while that is unanswered all other calls are refused at once. The questions are the breaker's own: no caller waits for
one, and it knows that Redis is back before anybody asks for something.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from offload.domain.errors import Unavailable

SLOW_S = 1.0
"""A call that fails after so long has not been refused by anybody; it found no answer."""
PAUSE_S = 0.25


class Breaker:
    """`ask` raises Unavailable, within a second or so, where Redis does not answer."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[None] | None = None
        self._known_away = ""

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
        """Whether Redis is known not to answer."""
        return bool(self._known_away)

    def check(self) -> None:
        """Raise Unavailable while Redis is known not to answer."""
        if self._known_away:
            raise Unavailable(self._known_away)

    def suspect(self) -> None:
        """Note that a call found no answer, and have Redis asked."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._until_it_answers(), name="offload-breaker")

    async def _until_it_answers(self) -> None:
        try:
            while True:
                try:
                    await self._ask()
                except Unavailable as error:
                    self._known_away = str(error)
                else:
                    return
                await asyncio.sleep(PAUSE_S)
        finally:
            self._known_away = ""
