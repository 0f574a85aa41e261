"""Schedules over HTTP: list, get, run now, pause, resume."""

from fastapi import APIRouter
from starlette.responses import Response

from offload.api import documents
from offload.api.background import BackgroundTask
from offload.api.problems import responses
from offload.api.state import Given
from offload.documents.jobs import JobDocument
from offload.documents.schedules import ScheduleDocument, ScheduleList
from offload.domain import views

router = APIRouter(tags=["schedules"])


@router.get(
    "/v1/schedules",
    operation_id="list_schedules",
    summary="List schedules",
    responses={200: {"model": ScheduleList}, **responses.responses(503)},
)
async def list_schedules(given: Given) -> Response:
    """List the declared schedules: plan, next run, last run and its job."""
    planned = await given.promptly(given.inspector.schedules())
    return documents.answer({"items": [views.schedule(view) for view in planned], "next": None})


@router.get(
    "/v1/schedules/{name}",
    operation_id="get_schedule",
    summary="Get a schedule",
    responses={200: {"model": ScheduleDocument}, **responses.responses(404, 503)},
)
async def get_schedule(name: str, given: Given) -> Response:
    """Get one schedule."""
    return documents.answer(views.schedule(await given.promptly(given.inspector.schedule(name))))


@router.post(
    "/v1/schedules/{name}/run",
    operation_id="run_schedule",
    summary="Run a schedule now",
    status_code=202,
    responses={202: {"model": JobDocument}, **responses.responses(404, 503)},
)
async def run_schedule(name: str, given: Given, after: BackgroundTask) -> Response:
    """Run the schedule now, even if paused, in addition to its regular runs."""
    job_id = await given.promptly(given.operations.run_schedule(name), part="writes")
    after.audit("schedule.run", name, job_id=job_id)
    record = await given.promptly(given.inspector.get(job_id))
    return documents.answer(views.job(record), 202, {"Location": views.location(job_id)})


@router.post(
    "/v1/schedules/{name}/pause",
    operation_id="pause_schedule",
    summary="Pause a schedule",
    responses={200: {"model": ScheduleDocument}, **responses.responses(404, 503)},
)
async def pause_schedule(name: str, given: Given, after: BackgroundTask) -> Response:
    """Pause the schedule on all workers until resumed. Missed runs are not made up."""
    await given.promptly(given.operations.pause_schedule(name), part="writes")
    after.audit("schedule.pause", name)
    return documents.answer(views.schedule(await given.promptly(given.inspector.schedule(name))))


@router.post(
    "/v1/schedules/{name}/resume",
    operation_id="resume_schedule",
    summary="Resume a schedule",
    responses={200: {"model": ScheduleDocument}, **responses.responses(404, 503)},
)
async def resume_schedule(name: str, given: Given, after: BackgroundTask) -> Response:
    """Resume the schedule, from its next regular run."""
    await given.promptly(given.operations.resume_schedule(name), part="writes")
    after.audit("schedule.resume", name)
    return documents.answer(views.schedule(await given.promptly(given.inspector.schedule(name))))
