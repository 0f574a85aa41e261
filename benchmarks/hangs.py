"""How long it takes from a job's limit until its worker, whose loop never came back, is replaced: five kinds of hang.

`python -m benchmarks.hangs` prints the table. The limit is the attempt's timeout and `OFFLOAD_STUCK_GRACE` after its
claim.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.hang_jobs import TIMEOUT_S, WAYS
from offload.client import Client
from offload.domain.catalogue import Catalogue
from offload.inspector import Inspector
from offload.loader import load
from offload.settings import child_environment, load_settings
from offload.store.embedded.server import EmbeddedRedis
from offload.wiring import connect

REPOSITORY = Path(__file__).parent.parent
_JOBS = "benchmarks.hang_jobs"
_GRACE_S = 0.5
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Row:
    """One hang: ms after the limit at which the worker was dumped and killed, another was there, another job done."""

    kind: str
    dumped_ms: float
    replaced_ms: float
    ran_ms: float
    has_job: bool
    has_line: bool
    reason: str


async def measure(runs: int = 1, kinds: Sequence[str] = tuple(WAYS)) -> list[Row]:
    """Have a worker hang in each of these ways, so often."""
    with tempfile.TemporaryDirectory(prefix="hangs-") as temporary:
        directory = Path(temporary)
        server = await asyncio.to_thread(EmbeddedRedis.start, directory, durable=False)
        try:
            async with _connected(server.url, directory) as (caller, inspector):
                return [await _hang(kind, server.url, directory, caller, inspector) for kind in [*kinds] * runs]
        finally:
            server.stop()


async def _hang(kind: str, url: str, directory: Path, caller: Client, inspector: Inspector) -> Row:
    with _worker(url, directory) as worker:
        lines = _Lines(worker)
        await lines.until("worker_started")
        hang = (await caller.enqueue("hang_jobs.hang", {"how": kind})).id
        stuck, replaced = await lines.until("worker_stuck"), await lines.until("worker_started")
        after = await inspector.wait((await caller.enqueue("hang_jobs.after", {})).id, _PATIENCE_S)
        dead = await inspector.get(hang)
        stalls, _ = await inspector.stalls(1)
    limit_ms = (dead.attempts[0].started_ms or 0) + (TIMEOUT_S + _GRACE_S) * 1000
    found = stalls[0]
    return Row(
        kind,
        _at_ms(stuck) - limit_ms,
        _at_ms(replaced) - limit_ms,
        (after.finished_ms or 0) - limit_ms,
        found["job_id"] == hang,
        str(found["file"]).endswith("hang_jobs.py"),
        found["reason"],
    )


class _Lines:
    """The log of a worker, line by line."""

    def __init__(self, worker: "subprocess.Popen[bytes]") -> None:
        self._worker = worker

    async def until(self, event: str) -> dict[str, Any]:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                line = await asyncio.to_thread(self._worker.stderr.readline)  # type: ignore[union-attr]
                with contextlib.suppress(ValueError):
                    said: dict[str, Any] = json.loads(line)
                    if said["event"] == event:
                        return said


def _at_ms(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp() * 1000


@contextlib.contextmanager
def _worker(url: str, directory: Path) -> "Iterator[subprocess.Popen[bytes]]":
    said = {"redis_url": url, "jobs": [_JOBS], "data_dir": directory, "log_format": "json", "stuck_grace": _GRACE_S}
    environment = {**child_environment(said), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "offload", "worker"]
    worker = subprocess.Popen(command, env=environment, cwd=directory, stderr=subprocess.PIPE)
    try:
        yield worker
    finally:
        worker.terminate()
        worker.communicate(timeout=_PATIENCE_S)


@contextlib.asynccontextmanager
async def _connected(url: str, directory: Path) -> AsyncIterator[tuple[Client, Inspector]]:
    catalogue: Catalogue = load([_JOBS])
    async with connect(load_settings(redis_url=url, data_dir=directory), catalogue) as backend:
        yield backend.client, backend.inspector


def show(rows: list[Row]) -> Table:
    """Return the table of what was measured."""
    table = Table("hang", "dumped", "replaced", "next job done", "job", "line", "found", title="ms after the limit")
    for row in rows:
        times = [f"{ms:.0f}" for ms in (row.dumped_ms, row.replaced_ms, row.ran_ms)]
        table.add_row(row.kind, *times, _yes(row.has_job), _yes(row.has_line), row.reason)
    return table


def _yes(is_so: bool) -> str:  # noqa: FBT001 - a word for it
    return "yes" if is_so else "-"


if __name__ == "__main__":
    Console(width=150).print(show(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1))))
