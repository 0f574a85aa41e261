"""The threads and processes of workers, and what one attempt used of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(slots=True)
class ExecutorUsage:
    """The use that one attempt made of threads and processes; `cpu_ns` and `peak_rss` are None without a process."""

    waited_ns: int = 0
    cpu_ns: int | None = None
    peak_rss: int | None = None

    def add(self, cpu_ns: int, peak_rss: int) -> None:
        """Add the usage of a process."""
        self.cpu_ns = (self.cpu_ns or 0) + cpu_ns
        self.peak_rss = max(self.peak_rss or 0, peak_rss)

    def as_json(self) -> bytes:
        """Return this as the record of a job keeps it; short, since 64 bytes are the limit of a compact record."""
        usage = {"wait_us": self.waited_ns // 1000}
        if self.cpu_ns is not None:
            usage |= {"cpu_us": self.cpu_ns // 1000, "rss": self.peak_rss or 0}
        return orjson.dumps(usage)


def usage_fields(data: bytes) -> dict[str, Any]:
    """Return what `ExecutorUsage.as_json` wrote, by the names of a job's record."""
    usage = orjson.loads(data)
    return {
        "executor_wait_ms": usage["wait_us"] / 1000,
        "cpu_ms": usage["cpu_us"] / 1000 if "cpu_us" in usage else None,
        "peak_rss_bytes": usage.get("rss") or None,
    }


def total(workers: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, int]]:
    """Sum up the executors that workers report, by kind and queue."""
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for worker in workers:
        for executor in worker.get("executors") or ():
            key = (executor["kind"], executor["queue"])
            of_kind = sums.setdefault(key, {"size": 0, "busy": 0, "waiting": 0, "leaked": 0})
            for name in of_kind:
                of_kind[name] += int(executor.get(name) or 0)
    return sums
