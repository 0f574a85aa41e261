"""What holds a loop: six ways, each a few frames deep, with the line known; each is called through `deep`.

The guilty line carries the name of its kind as a comment.
"""

import ctypes
import functools
import hashlib
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

FILE = __file__
_DATA = [1 / 3] * 5_000_000
_LIBRARY = ctypes.PyDLL(None)  # unlike CDLL it keeps the GIL


def sleep(seconds: float) -> None:
    """Sleep in the kernel."""
    time.sleep(seconds)  # line of: sleep


def cpu(seconds: float) -> None:
    """Compute in Python."""
    ends = time.monotonic_ns() + round(seconds * 1e9)
    while time.monotonic_ns() < ends:  # line of: cpu
        pass  # line of: cpu


def pbkdf2(seconds: float) -> None:
    """Compute in C without the GIL."""
    rounds = max(1, round(seconds * _per_second("pbkdf2")))
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds)  # line of: pbkdf2


def recv(seconds: float) -> None:
    """Wait for a socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        timer = threading.Timer(seconds, theirs.send, [b"x"])
        timer.start()
        ours.recv(1)  # line of: recv
        timer.join()


def process(seconds: float) -> None:
    """Wait for a process."""
    subprocess.run(["/bin/sleep", str(seconds)], check=True)  # line of: process


def dumps(seconds: float) -> None:
    """Compute in C with the GIL."""
    data = _DATA[: max(1, round(seconds * _per_second("dumps")))]
    json.dumps(data)  # line of: dumps


def usleep(seconds: float) -> None:
    """Hold the GIL in C, and use no processor."""
    _LIBRARY.usleep(round(seconds * 1e6))  # line of: usleep


KINDS: dict[str, tuple[str, Callable[[float], None]]] = {
    "sleep": ("`time.sleep`", sleep),
    "cpu": ("Python that computes", cpu),
    "pbkdf2": ("`hashlib.pbkdf2_hmac`", pbkdf2),
    "recv": ("`socket.recv`", recv),
    "process": ("`subprocess.run`", process),
    "dumps": ("`json.dumps`", dumps),
}
HOGS: tuple[Callable[[int], object], ...] = (
    lambda size: sum(range(size)),
    lambda size: json.dumps(_DATA[: size // 10]),
    lambda size: re.findall(r"[ab]c", "ab" * (size // 4)),
    lambda size: sorted(range(size, 0, -1), key=float),
)
"""Calls that hold the GIL; `sorted` gives it up at times, the others do not."""


def deep(kind: Callable[[float], None], seconds: float) -> int:
    """Call it some frames down; return how long it took, in ns."""
    began = time.monotonic_ns()
    _deeper(kind, seconds)
    return time.monotonic_ns() - began


def _deeper(kind: Callable[[float], None], seconds: float) -> None:
    kind(seconds)


@functools.cache
def lines_of(kind: str) -> set[int]:
    """Return the numbers of the lines that are to be named."""
    text = Path(FILE).read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(text, 1) if line.endswith(f"# line of: {kind}")}


@functools.cache
def _per_second(kind: str) -> float:
    """Return how much of it this machine does in a second."""

    def once(size: int) -> object:
        return hashlib.pbkdf2_hmac("sha256", b"p", b"s", size) if kind == "pbkdf2" else json.dumps(_DATA[:size])

    size, best = 100_000, 0.0
    for _ in range(5):
        began = time.perf_counter()
        once(size)
        best = max(best, size / (time.perf_counter() - began))
    return best


def calibrate() -> None:
    """Measure this machine, before a loop runs."""
    for kind in ("pbkdf2", "dumps"):
        _per_second(kind)
