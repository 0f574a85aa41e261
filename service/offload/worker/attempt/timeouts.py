"""The timeouts of attempts, by one timer of the event loop for all of them.

`asyncio.timeout` needs a timer for each, which was an eighth of the time of a worker for a job that does nothing.
"""

import asyncio
import heapq
import math
from collections.abc import Callable

_FEW = 64  # timeouts that are over may stay in the heap up to this number


class Timeout:
    """The timeout of one attempt."""

    __slots__ = ("_act", "_of")

    def __init__(self, of: "Timeouts", act: Callable[[], None]) -> None:
        self._of = of
        self._act: Callable[[], None] | None = act

    def reached(self) -> None:
        """Call its callback, unless it was cancelled."""
        if (act := self._act) is not None:
            self.cancel()
            act()

    def cancel(self) -> None:
        """Never call the callback."""
        if self._act is not None:
            self._act = None
            self._of.ended()

    @property
    def is_over(self) -> bool:
        """True once it was reached or cancelled."""
        return self._act is None


class Timeouts:
    """The timeouts of one worker, the next one first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Timeout]] = []
        self._made = 0
        self._over = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def start(self, seconds: float, act: Callable[[], None]) -> Timeout:
        """Call `act` on the event loop after `seconds`, unless the timeout is cancelled before."""
        timeout, at = Timeout(self, act), self._loop.time() + seconds
        self._made += 1
        heapq.heappush(self._heap, (at, self._made, timeout))
        if at < self._timer_at:
            self._set_timer(at)
        return timeout

    def ended(self) -> None:
        """Count a timeout that is over; when most are, they are removed."""
        self._over += 1
        if self._over > _FEW and self._over * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].is_over]
            heapq.heapify(self._heap)
            self._over = 0

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(at, self._act), at

    def _act(self) -> None:
        self._timer, self._timer_at = None, math.inf
        now = self._loop.time()
        while self._heap and (self._heap[0][0] <= now or self._heap[0][2].is_over):
            _, _, timeout = heapq.heappop(self._heap)
            self._over -= 1  # it was counted when it was cancelled, or is counted now
            timeout.reached()
        if self._heap:
            self._set_timer(self._heap[0][0])
