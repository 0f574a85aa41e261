"""`GET /metrics` for Prometheus."""

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from offload.api.state import Given
from offload.domain.clock import now_ms
from offload.domain.errors import Unavailable

SCRAPE_S = 2.0
"""Longest wait for Redis in a scrape; after that Redis counts as unavailable."""

router = APIRouter(tags=["probes"])


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"description": "Prometheus text format", "content": {"text/plain": {}}}},
)
async def metrics(given: Given) -> Response:
    """Metrics of this process's requests, and of the jobs, queues and workers of the fleet.

    If Redis is unavailable the status is still 200, with `offload_redis_up 0`.
    """
    try:
        async with asyncio.timeout(SCRAPE_S):
            fleet_metrics = await given.inspector.fleet_metrics()
    except (Unavailable, TimeoutError):
        fleet_metrics = None
    return Response(given.metrics.render(fleet_metrics, now_ms()), media_type=CONTENT_TYPE_LATEST)
