"""Calls `/livez` again and again while the jobs run: a service with a blocked loop would show here."""

import http.client
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

PAUSE = 0.02
TIMEOUT = 10.0


@dataclass
class Latencies:
    """The times of the calls, in milliseconds, and the number of calls not answered with 200."""

    took_ms: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile(self, share: float) -> float:
        """Return the time that this share of the calls stayed within (nearest rank)."""
        ordered = sorted(self.took_ms)
        return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0

    def describe(self) -> dict[str, float]:
        """Return them for `--json`."""
        figures = {"p50_ms": self.percentile(0.5), "p99_ms": self.percentile(0.99), "max_ms": self.percentile(1)}
        return {"calls": len(self.took_ms), "failed": self.failed, **{k: round(v, 2) for k, v in figures.items()}}


class Probe:
    """A thread of its own, so that the demo's own work between two calls is not measured."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._call_on, name="livez-probe", daemon=True)
        self.latencies = Latencies()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(TIMEOUT)
        self._connection.close()

    def _call_on(self) -> None:
        while not self._stop.is_set():
            started = time.perf_counter()
            try:
                self._connection.request("GET", "/livez")
                answer = self._connection.getresponse()
                answer.read()
                is_ok = answer.status == 200
            except (OSError, http.client.HTTPException):
                self._connection.close()
                is_ok = False
            self.latencies.took_ms.append((time.perf_counter() - started) * 1000)
            self.latencies.failed += not is_ok
            self._stop.wait(PAUSE)
