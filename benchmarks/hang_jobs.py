"""Jobs that never come back: five ways to hold an event loop for good."""

import asyncio
import ctypes
import os
import signal
import threading
import time
from typing import Any

from offload import JobContext, job

TIMEOUT_S = 1.0
_libc = ctypes.PyDLL(None)  # its calls keep the GIL


def _endless_loop() -> None:
    while True:
        pass


def _sleep() -> None:
    time.sleep(3600)


def _lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _gil_held() -> None:
    mutex = ctypes.create_string_buffer(256)
    _libc.pthread_mutex_lock(mutex)
    _libc.pthread_mutex_lock(mutex)


def _stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


STOPPED = "SIGSTOP"
WAYS: dict[str, Any] = {
    "endless loop": _endless_loop,
    "time.sleep(3600)": _sleep,
    "lock deadlock": _lock,
    "C deadlock, GIL held": _gil_held,
    STOPPED: _stopped,
}


@job(timeout=TIMEOUT_S, max_tries=1)
async def hang(ctx: JobContext, how: str) -> None:
    """Hold the loop for good, after a first step that does not."""
    await asyncio.sleep(0.01)
    WAYS[how]()


@job
async def after(ctx: JobContext) -> None:
    """Run where the loop turns."""
