"""Queues over HTTP: list, get, pause, resume."""

from fastapi import APIRouter
from starlette.responses import Response

from offload.api import documents
from offload.api.background import BackgroundTask
from offload.api.problems import responses
from offload.api.state import Given
from offload.documents.queues import QueueDocument, QueueList
from offload.domain import views

router = APIRouter(tags=["queues"])


@router.get(
    "/v1/queues",
    operation_id="list_queues",
    summary="List queues",
    responses={200: {"model": QueueList}, **responses.responses(503)},
)
async def list_queues(given: Given) -> Response:
    """List all queues that are declared or were ever used, with depth, running jobs and the age of the oldest job."""
    states = await given.promptly(given.inspector.queues())
    return documents.answer({"items": [views.queue(state) for state in states], "next": None})


@router.get(
    "/v1/queues/{name}",
    operation_id="get_queue",
    summary="Get a queue",
    responses={200: {"model": QueueDocument}, **responses.responses(404, 503)},
)
async def get_queue(name: str, given: Given) -> Response:
    """Get one queue: depth, running jobs, limits, and who paused it and when."""
    return documents.answer(views.queue(await given.promptly(given.inspector.queue(name))))


@router.post(
    "/v1/queues/{name}/pause",
    operation_id="pause_queue",
    summary="Pause a queue",
    responses={200: {"model": QueueDocument}, **responses.responses(404, 503)},
)
async def pause_queue(name: str, given: Given, after: BackgroundTask) -> Response:
    """Stop starting jobs of this queue on all workers until resumed. Running jobs finish; jobs can still be enqueued.

    The pause survives restarts. Pausing a paused queue changes nothing: the first `paused_by` and `paused_at` stay.
    """
    changed = await given.promptly(given.operations.pause_queue(name, after.who), part="writes")
    after.audit("queue.pause", name, changed=changed)
    return documents.answer(views.queue(await given.promptly(given.inspector.queue(name))))


@router.post(
    "/v1/queues/{name}/resume",
    operation_id="resume_queue",
    summary="Resume a queue",
    responses={200: {"model": QueueDocument}, **responses.responses(404, 503)},
)
async def resume_queue(name: str, given: Given, after: BackgroundTask) -> Response:
    """Start jobs of this queue again, at once. Resuming a queue that is not paused changes nothing."""
    changed = await given.promptly(given.operations.resume_queue(name), part="writes")
    after.audit("queue.resume", name, changed=changed)
    return documents.answer(views.queue(await given.promptly(given.inspector.queue(name))))
