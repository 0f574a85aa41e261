"""Reads of single jobs: those of one process that come at the same moment share a round trip.

A read joins the next batch, never one that is under way, so that its answer is no older than the request.
"""

import asyncio
from typing import Any

from offload.domain.errors import Unavailable
from offload.store.connection import scripts
from offload.store.connection.connection import RedisClient

Row = list[Any]
_BATCH = 32


class RecordBatcher:
    """Fetches all that is kept of jobs."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._waiting: dict[str, list[asyncio.Future[Row]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def at(self, job_id: str) -> Row:
        """Return record (a dictionary), payload, result, failed attempts and log lines; raises Unavailable."""
        seen: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append(seen)
        if self._task is None:
            self._task = asyncio.create_task(self._look(), name="offload-look")
        return await seen

    async def _look(self) -> None:
        try:
            while self._waiting:
                batch = {job_id: self._waiting.pop(job_id) for job_id in list(self._waiting)[:_BATCH]}
                try:
                    rows = await scripts.run(self._redis, "read", *batch)
                except Exception as error:  # noqa: BLE001 - handed to everyone who waits
                    _refuse(batch, error)
                else:
                    for (record, *rest), waiting in zip(rows, batch.values(), strict=True):
                        row = [dict(zip(*[iter(record)] * 2, strict=True)), *rest]
                        for seen in waiting:
                            if not seen.done():
                                seen.set_result(row)
        finally:
            self._task = None
            left, self._waiting = self._waiting, {}
            _refuse(left, Unavailable("the process stopped before it had read the job"))


def _refuse(batch: dict[str, list["asyncio.Future[Row]"]], error: Exception) -> None:
    for waiting in batch.values():
        for seen in waiting:
            if not seen.done():
                seen.set_exception(error)
