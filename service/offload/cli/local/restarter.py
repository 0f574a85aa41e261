"""Restarts a child process when it dies, after growing pauses, until asked to stop."""

import asyncio
import signal
import time

from offload.cli.errors import UNREACHABLE
from offload.cli.local.child import Child
from offload.cli.local.race import first_of
from offload.domain.restarts import Restarts

HURRY = 2.0


class Restarter:
    """Owns one child. `start_over` restarts it, `stop` stops it for good.

    `refused` is set if the child exits with code 3 before it was ever ready: it cannot start. With `waits_for_change`
    the next `start_over` starts it again instead.
    """

    def __init__(self, child: Child, *, waits_for_change: bool = False) -> None:
        self.child = child
        self.refused = asyncio.Event()
        self._waits_for_change = waits_for_change
        self._was_ready = False
        self._started = asyncio.Event()
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
                self._started.set()
                began = time.monotonic()
                code = await self.child.run()
                if self._stopping.is_set() or self._changed.is_set():
                    restarts.forget()
                    continue
                await self._handle_end(code, restarts.pause_after(time.monotonic() - began))
        finally:
            self._ended.set()

    def note_ready(self) -> None:
        """Note that the child is ready: from now on it is restarted whatever its exit code."""
        self._was_ready = True

    async def wait_started(self) -> None:
        """Return when the latest requested child has been started."""
        await self._started.wait()

    def start_over(self) -> None:
        """Restart the child at once; the new one is not ready yet."""
        self._was_ready = False
        self._started.clear()
        self._changed.set()
        self.child.terminate()

    async def stop(self, grace: float) -> bool:
        """Stop the child; return False if it had to be killed, after `grace` seconds or soon after `hurry`."""
        self._stopping.set()
        self._changed.set()
        self.child.terminate()
        await first_of(self._ended.wait(), self._hurry.wait(), timeout=grace)
        if not self._ended.is_set() and self._hurry.is_set():
            self.child.terminate()  # Asked a second time, a worker requeues its jobs at once.
            await first_of(self._ended.wait(), timeout=HURRY)
        ended_by_itself = self._ended.is_set()
        if not ended_by_itself:
            self.child.kill()
            await self._ended.wait()
        return ended_by_itself

    def hurry(self) -> None:
        """Cut the grace short."""
        self._hurry.set()

    async def _handle_end(self, code: int, pause: float) -> None:
        """Decide what to do after a child ended that was not asked to stop."""
        child = self.child
        is_refusal = code == UNREACHABLE and not self._was_ready
        if is_refusal:
            child.listener.note_refusal(child.name)
        if is_refusal and not self._waits_for_change:
            self.refused.set()
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        when = "after the next change" if is_refusal else f"in {pause:g} s"
        child.listener.note_line(child.name, f"{child.name} {how}; restarting {when}")
        await first_of(self._changed.wait(), timeout=None if is_refusal else pause)
