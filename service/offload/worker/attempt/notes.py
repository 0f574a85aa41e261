"""Progress and log lines of running jobs: gathered, thinned out, and written to Redis in one call."""

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from offload.domain.errors import Unavailable
from offload.store.connection.connection import RedisClient
from offload.store.jobs import leases

if TYPE_CHECKING:
    from offload.store.jobs.leases import Claimed

log = structlog.get_logger("offload.job")
_PAUSE = 0.05  # progress of one job is written at most this often, in seconds; the last value always is
_LINES_KEPT = 200
_WAITING_LIMIT = 10_000
_NOTE_BYTES = 4_000  # a line is for a person to read, and a job keeps 200 of them


class Notes:
    """Writes notes of jobs. Those that cannot be written (no Redis, too many) are dropped and counted."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._progress: dict[tuple[str, str], bytes] = {}
        self._lines: list[tuple[str, str, str, bytes]] = []
        self._written = asyncio.Lock()
        self._wake = asyncio.Event()
        self.dropped = 0

    def add(self, job: "Claimed", kind: str, content: dict[str, Any]) -> None:
        """Add a note; call this on the event loop."""
        note = _bounded(content)
        if kind == "progress":
            self._progress[job.id, job.token] = note
        elif len(self._lines) < _WAITING_LIMIT:
            self._lines.append((job.id, job.token, kind, note))
            write = getattr(log, content["level"])
            fields = content.get("fields", {})
            write(content["message"], job_id=job.id, function=job.function, attempt=job.attempt, **fields)
        else:
            self.dropped += 1
        self._wake.set()

    def begun(self, job: "Claimed") -> None:
        """Note that a job that waited for a thread or process has one now; call this on the event loop."""
        if len(self._lines) < _WAITING_LIMIT:
            self._lines.append((job.id, job.token, "begun", b""))
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            await self.flush()
            await asyncio.sleep(_PAUSE)

    async def flush(self) -> None:
        """Write all notes that wait; the ends of attempts are written after the notes of their jobs."""
        async with self._written:
            self._wake.clear()
            waiting = [*self._lines, *((job, token, "progress", note) for (job, token), note in self._progress.items())]
            self._lines, self._progress = [], {}
            if not waiting:
                return
            try:
                await leases.note(self._redis, _LINES_KEPT, waiting)
            except Unavailable:
                self.dropped += len(waiting)

    @property
    def is_empty(self) -> bool:
        """True while no note waits to be written."""
        return not self._lines and not self._progress and not self._written.locked()


def _bounded(content: dict[str, Any]) -> bytes:
    """Serialise a note; one that is too long is cut to the beginning of its message, and its size."""
    note = orjson.dumps(content, default=str)
    if len(note) <= _NOTE_BYTES:
        return note
    message = f"{str(content.get('message') or '')[: _NOTE_BYTES // 8]}… ({len(note):,} bytes)"
    short = {**content, "message": message}
    return orjson.dumps({**short, "fields": {}} if "fields" in content else short)
