"""The fleet over HTTP: queues, workers, counts."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from service.api import documents, problems
from service.api.state import Given
from service.domain.clock import rfc3339

router = APIRouter(tags=["fleet"])


@router.get(
    "/v1/queues",
    operation_id="list_queues",
    summary="List queues",
    responses={200: {"model": documents.QueueList}, **problems.responses(503)},
)
async def list_queues(given: Given) -> Response:
    """List every queue that is declared or was ever used: its depth, what runs, since when the oldest waits."""
    states = await given.promptly(given.inspector.queues())
    return documents.answer({"items": [documents.queue(state) for state in states], "next": None})


@router.get(
    "/v1/workers",
    operation_id="list_workers",
    summary="List workers",
    responses={200: {"model": documents.WorkerList}, **problems.responses(503)},
)
async def list_workers(given: Given) -> Response:
    """List the live workers, each as it describes itself."""
    workers = await given.promptly(given.inspector.workers())
    return documents.answer({"items": [_timed(about) for about in workers], "next": None})


@router.get(
    "/v1/stats",
    operation_id="get_stats",
    summary="Count jobs",
    responses={200: {"model": documents.StatsDocument}, **problems.responses(503)},
)
async def get_stats(given: Given) -> Response:
    """Count kept jobs by status, and endings by function over the last 24 hours."""
    return documents.answer(await given.promptly(given.inspector.stats()))


def _timed(about: dict[str, Any]) -> dict[str, Any]:
    """Write a worker's times, which are ms, as everywhere: `beat` becomes `beat_at`, `started` `started_at`."""
    shown = {name: value for name, value in about.items() if name not in ("beat", "started")}
    return shown | {f"{name}_at": rfc3339(about[name]) for name in ("started", "beat") if name in about}
