"""What the system says of processes, and Redis of itself: CPU time, memory, commands, reads."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1_048_576


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU time of processes in seconds, to a tick of 10 ms each."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / _TICKS


def pss_mib(pids: Iterable[int]) -> float:
    """Return the proportional set size of processes together: a page that several share counts once."""
    return sum(_kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") for pid in pids) * 1024 / _MIB


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    return _kib(Path(f"/proc/{pid}/status"), "VmRSS:") * 1024 / _MIB


def _kib(path: Path, label: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(label))


@dataclass(frozen=True)
class Served:
    """What a Redis server has done so far: its CPU time, commands (those inside scripts too), reads of its sockets."""

    cpu_s: float
    commands: int
    reads: int

    def since(self, before: "Served", looks: int = 0) -> "Served":
        """Return what was done between two readings, without the second reading and `looks` of the observer."""
        reads = self.reads - before.reads - 2 - looks
        return Served(self.cpu_s - before.cpu_s, self.commands - before.commands - 2 - looks, reads)


async def served(redis: Any) -> Served:
    """Read the counters of a server, in two commands."""
    stats, cpu = await redis.info("stats"), await redis.info("cpu")
    return Served(
        cpu["used_cpu_user"] + cpu["used_cpu_sys"], stats["total_commands_processed"], stats["total_reads_processed"]
    )
