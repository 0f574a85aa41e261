"""The threads and processes of one worker, by queue, and how many jobs of a queue it should claim at once."""

import os
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from offload.documents.fleet import ExecutorDocument, ExecutorKind
from offload.domain.catalogue import Catalogue
from offload.worker.executors.processes import Processes, start_context
from offload.worker.executors.threads import Leaks, Threads


@cache
def default_threads() -> int:
    """Return the number of threads of a queue without a limit, which is the one that `ThreadPoolExecutor` chooses."""
    return min(32, (os.cpu_count() or 1) + 4)


@cache
def default_processes() -> int:
    """Return the number of processes of a queue without a limit: one for each core."""
    return os.cpu_count() or 1


class Executors:
    """Makes the executors of a queue when its first job needs them; sized by `max_running` where it is declared."""

    def __init__(self, catalogue: Catalogue, artifacts: Path, recycle: int, grace: float, most_leaked: int = 0) -> None:
        self.leaks = Leaks(grace, most_leaked)
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
            self._threads[queue] = Threads(queue, self._size("thread", queue), self.leaks)
        return self._threads[queue]

    def processes(self, queue: str) -> Processes:
        """Return the processes of a queue."""
        if queue not in self._processes:
            if self._context is None:
                modules = {f.fn.__module__ for f in self._catalogue.functions.values() if f.runs_in == "process"}
                self._context = start_context(sorted(modules))
            size = self._size("process", queue)
            self._processes[queue] = Processes(self._context, size, self._artifacts, self._recycle, self._grace)
        return self._processes[queue]

    def appetite(self, queue: str, slots: int, running: int) -> int:
        """Return how many more jobs of a queue this worker should claim: no more than can run, if none is async.

        The others stay in Redis for a worker that has room. It already runs `running` of them; a leaked call holds its
        thread too, where there are more of them than threads.
        """
        places = {f.runs_in for f in self._catalogue.functions.values() if f.queue == queue}
        if not places or "loop" in places:
            return slots
        busy = self._threads[queue].busy if queue in self._threads else 0
        return max(
            0, min(slots, sum(self._size(place, queue) for place in places if place != "loop") - max(running, busy))
        )

    def usage(self, queues: Collection[str]) -> list[ExecutorDocument]:
        """Return size and use of the threads and processes of these queues, for each queue that needs some."""
        known = {(f.queue, f.runs_in) for f in self._catalogue.functions.values()}
        known |= {(q, "thread") for q in self._threads} | {(q, "process") for q in self._processes}
        return [self._usage(queue, kind) for queue, kind in sorted(known) if queue in queues and kind != "loop"]

    def _usage(self, queue: str, kind: ExecutorKind) -> ExecutorDocument:
        executor = self._threads.get(queue) if kind == "thread" else self._processes.get(queue)
        busy, waiting = (executor.busy, executor.waiting) if executor is not None else (0, 0)
        leaked = executor.leaked if isinstance(executor, Threads) else 0
        size = self._size(kind, queue)
        return {"queue": queue, "kind": kind, "size": size, "busy": busy, "waiting": waiting, "leaked": leaked}

    def _size(self, kind: ExecutorKind, queue: str) -> int:
        declared = self._catalogue.queue(queue).max_running
        return declared or (default_threads() if kind == "thread" else default_processes())

    def close(self, *, now: bool = False) -> None:
        """End the child processes; threads end with the worker."""
        for processes in self._processes.values():
            processes.close(now=now)
