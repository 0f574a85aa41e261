"""What is known of the threads and processes of workers, and of what one attempt took of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Used:
    """What one attempt took of threads and processes; `cpu_ns` and `peak_rss` of the processes, None without one."""

    waited_ns: int = 0
    cpu_ns: int | None = None
    peak_rss: int | None = None

    def add(self, cpu_ns: int, peak_rss: int) -> None:
        """Count what ran in a process."""
        self.cpu_ns = (self.cpu_ns or 0) + cpu_ns
        self.peak_rss = max(self.peak_rss or 0, peak_rss)

    def written(self) -> str:
        """Return this as the record keeps it: µs waited, µs of CPU, bytes; `-` where there is none."""
        cpu = "-" if self.cpu_ns is None else str(self.cpu_ns // 1000)
        return f"{self.waited_ns // 1000} {cpu} {self.peak_rss or '-'}"


def read(text: str) -> dict[str, Any]:
    """Return what `written` wrote, by the names that a job's record has for it."""
    waited, cpu, peak = text.split()
    return {
        "executor_wait_ms": int(waited) / 1000,
        "cpu_ms": None if cpu == "-" else int(cpu) / 1000,
        "peak_rss_bytes": None if peak == "-" else int(peak),
    }


def total(workers: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, int]]:
    """Sum up what workers say of their executors, by kind and queue."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for about in workers:
        for one in about.get("executors") or ():
            sums = found.setdefault((one["kind"], one["queue"]), {"size": 0, "busy": 0, "waiting": 0, "leaked": 0})
            for name in sums:
                sums[name] += int(one.get(name) or 0)
    return found
