"""Keeps a child running: starts it anew when it dies, each time a little later, until it is told to stop."""

import asyncio
import signal
import time

from offload.cli.errors import UNREACHABLE
from offload.cli.local.child import Child
from offload.cli.local.race import first_of
from offload.domain.restarts import Restarts

HURRY = 2.0


class Restarter:
    """Owns one child. `start_over` stops it to start it anew, `stop` stops it for good.

    `refused` is set where the child says (exit code 3) that it cannot work, before it ever did; with `waits_for_change`
    it is started anew by the next `start_over` instead.
    """

    def __init__(self, child: Child, *, waits_for_change: bool = False) -> None:
        self.child = child
        self.refused = asyncio.Event()
        self._waits_for_change = waits_for_change
        self._was_ready = False
        self._fresh = asyncio.Event()
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Run the child until `stop`, or until it refuses."""
        restarts = Restarts()
        try:
            while not (self._stopping.is_set() or self.refused.is_set()):
                self._changed.clear()
                self._fresh.set()
                began = time.monotonic()
                code = await self.child.run()
                if self._stopping.is_set() or self._changed.is_set():
                    restarts.forget()
                    continue
                await self._settle(code, restarts.pause_after(time.monotonic() - began))
        finally:
            self._ended.set()

    def is_ready(self) -> None:
        """Note that the child works; from now on it is restarted whatever it dies of."""
        self._was_ready = True

    async def is_started(self) -> None:
        """Return when the child that was asked for last is the one that runs."""
        await self._fresh.wait()

    def start_over(self) -> None:
        """Stop the child and start it anew, at once; whether the new one works has to be seen."""
        self._was_ready = False
        self._fresh.clear()
        self._changed.set()
        self.child.terminate()

    async def stop(self, grace: float) -> bool:
        """Stop the child; return False where it had to be killed, `grace` seconds later or soon after `hurry`."""
        self._stopping.set()
        self._changed.set()
        self.child.terminate()
        await first_of(self._ended.wait(), self._hurry.wait(), timeout=grace)
        if not self._ended.is_set() and self._hurry.is_set():
            self.child.terminate()  # Asked for a second time, a worker puts its jobs back at once.
            await first_of(self._ended.wait(), timeout=HURRY)
        ended_by_itself = self._ended.is_set()
        if not ended_by_itself:
            self.child.kill()
            await self._ended.wait()
        return ended_by_itself

    def hurry(self) -> None:
        """Cut the grace short."""
        self._hurry.set()

    async def _settle(self, code: int, pause: float) -> None:
        """Decide what follows the end of a child that nobody asked to stop."""
        child = self.child
        is_refusal = code == UNREACHABLE and not self._was_ready
        if is_refusal:
            child.listener.refuses(child.name)
        if is_refusal and not self._waits_for_change:
            self.refused.set()
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        when = "after the next change" if is_refusal else f"in {pause:g} s"
        child.listener.tell(child.name, f"{child.name} {how}; it starts again {when}")
        await first_of(self._changed.wait(), timeout=None if is_refusal else pause)
