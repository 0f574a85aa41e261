"""From one feed to many readers: events are kept for slow readers, and waiting ones woken without holding the loop.

Readers that want the same share one bounded list, each with a place in it, so memory does not grow with readers. Many
readers are woken a few at a time, and a round of that is followed by a rest of three times its length, at most 1 s:
waking a thousand of them leaves most of the event loop to others, and on a busy loop each gets more events at once.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

from offload.domain.clock import now_ms
from offload.domain.events import Event, EventFilter, missed_event

KEPT = 2000
"""The number of events kept for a reader; one that is slower loses the oldest."""
AT_ONCE = 16
"""Up to this number, readers are woken together as soon as something happens."""
BATCH = 64
"""The most events that a reader takes at once: those it has not passed on yet are kept for it alone."""
STEP = 2
"""The readers of a crowd that are woken in one turn of the loop, some 0.1 ms each, while other work waits."""
_REST = 3.0
_LONGEST_REST = 1.0


class Channel:
    """The latest events that some readers want, and these readers."""

    def __init__(self, wanted: EventFilter, rounds: "Rounds") -> None:
        self.wanted = wanted
        self.readers: set[Reader] = set()
        self.end = 0  # how many events there were
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._rounds = rounds

    def offer(self, event: Event) -> None:
        """Add an event, dropping the oldest when the list is full."""
        self._kept.append(event)
        self.end += 1

    def wake(self) -> None:
        """Wake the readers: at once where they are few."""
        if len(self.readers) <= AT_ONCE:
            for reader in self.readers:
                reader.wake()
        else:
            self._rounds.add(self)

    def after(self, place: int, limit: int) -> tuple[int, list[Event]]:
        """Return how many events after a place are lost, and up to `limit` of those that are kept."""
        first = self.end - len(self._kept)
        start = max(place - first, 0)
        stop = min(start + limit, len(self._kept))
        return max(first - place, 0), [self._kept[i] for i in range(start, stop)]


class Reader:
    """One reader's place in a channel; one that is too slow loses the oldest events, and gets their number."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._at = self._until = channel.end  # it may read on up to the latter; a crowd then waits for its next turn
        self._woken: asyncio.Future[None] | None = None
        self.starts_after = "0-0"  # an event id: what is later in the feed reaches this reader

    def wake(self) -> None:
        """End the reader's wait, if it waits."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def batch(self, timeout: float | None = None) -> list[Event]:
        """Return some events since the last call, first `missed` where some are lost; [] after `timeout` s."""
        await self._wait(timeout)
        lost, events = self._channel.after(self._at, BATCH)
        self._at += lost + len(events)
        return [missed_event(lost, now_ms()), *events] if lost else events

    async def next(self, timeout: float | None = None) -> Event | None:
        """Return the next event, `missed` where some are lost, or None when none came within `timeout` seconds."""
        await self._wait(timeout)
        lost, events = self._channel.after(self._at, 1)
        self._at += lost or len(events)
        if lost:
            return missed_event(lost, now_ms())
        return events[0] if events else None

    async def _wait(self, timeout: float | None) -> None:
        """Wait for an event; among many readers, for its turn, so that each gets many events at once."""
        behind = self._channel.end - self._at
        if self._at < self._until or (behind and (behind > KEPT // 2 or len(self._channel.readers) <= AT_ONCE)):
            return
        loop = asyncio.get_running_loop()
        self._woken = woken = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, self.wake)
        if behind:
            self._channel.wake()
        try:
            await woken
        finally:
            self._woken = None
            self._until = self._channel.end
            if timer is not None:
                timer.cancel()


class Rounds:
    """Wakes the readers of channels that have many, in rounds with rests between them."""

    def __init__(self) -> None:
        self._due: dict[Channel, None] = {}
        self._waiting: deque[Reader] = deque()
        self._next: asyncio.Handle | None = None
        self._began = 0.0

    def add(self, channel: Channel) -> None:
        """Wake the channel's readers in the next round."""
        self._due[channel] = None
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._begin)

    def stop(self) -> None:
        """Stop waking readers."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _begin(self) -> None:
        self._began = asyncio.get_running_loop().time()
        self._waiting.extend(_all(self._due))
        self._due.clear()
        self._some()

    def _some(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(min(STEP, len(self._waiting))):
            self._waiting.popleft().wake()
        if self._waiting:
            self._next = loop.call_soon(self._some)
            return
        rest = min((loop.time() - self._began) * _REST, _LONGEST_REST)
        self._next = loop.call_later(rest, self._rested)

    def _rested(self) -> None:
        self._next = None
        if self._due:
            self._begin()


def _all(channels: Iterable[Channel]) -> list[Reader]:
    return [reader for channel in channels for reader in channel.readers]
