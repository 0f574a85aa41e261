"""The threads and processes of one worker, by queue, and how much of a queue one worker should take at once."""

import os
from pathlib import Path
from typing import Any

from service.domain.catalogue import Catalogue
from service.worker.processes import Processes, start_context
from service.worker.threads import Threads


def default_threads() -> int:
    """How many threads a queue without a limit has: the number that `ThreadPoolExecutor` chooses."""
    return min(32, (os.cpu_count() or 1) + 4)


def default_processes() -> int:
    """How many processes a queue without a limit has: one for each core."""
    return os.cpu_count() or 1


class Executors:
    """Makes the executors of a queue when its first job needs them; sized by `max_running` where it is declared."""

    def __init__(self, catalogue: Catalogue, artifacts: Path, recycle: int, grace: float) -> None:
        self._catalogue = catalogue
        self._artifacts = artifacts
        self._recycle = recycle
        self._grace = grace
        self._threads: dict[str, Threads] = {}
        self._processes: dict[str, Processes] = {}
        self._context: Any = None

    def threads(self, queue: str) -> Threads:
        """Return the threads of a queue."""
        if queue not in self._threads:
            self._threads[queue] = Threads(queue, self._catalogue.queue(queue).max_running or default_threads())
        return self._threads[queue]

    def processes(self, queue: str) -> Processes:
        """Return the processes of a queue."""
        if queue not in self._processes:
            if self._context is None:
                modules = {f.fn.__module__ for f in self._catalogue.functions.values() if f.runs_in == "process"}
                self._context = start_context(sorted(modules))
            size = self._catalogue.queue(queue).max_running or default_processes()
            self._processes[queue] = Processes(self._context, size, self._artifacts, self._recycle, self._grace)
        return self._processes[queue]

    def appetite(self, queue: str, slots: int, running: int) -> int:
        """Return how many more jobs of a queue this worker should take: no more than can run, where none is async.

        What it does not take stays in Redis for a worker that has room. `running` of them it has already; a call that
        nobody waits for any more holds its thread all the same.
        """
        places = {f.runs_in for f in self._catalogue.functions.values() if f.queue == queue}
        if not places or "loop" in places:
            return slots
        limit = self._catalogue.queue(queue).max_running
        sizes = {"thread": limit or default_threads(), "process": limit or default_processes()}
        busy = self._threads[queue].busy if queue in self._threads else 0
        return max(0, min(slots, sum(sizes[place] for place in places) - max(running, busy)))

    def close(self, *, now: bool = False) -> None:
        """End the child processes; threads end with the worker."""
        for processes in self._processes.values():
            processes.close(now=now)
