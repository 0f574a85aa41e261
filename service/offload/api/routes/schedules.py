"""Schedules over HTTP: those of the code, when each fires, and firing one by hand."""

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
    """List the schedules of the code: the plan of each, when it fires next and did last, and that tick's job."""
    planned = await given.promptly(given.inspector.schedules())
    return documents.answer({"items": [views.schedule(one) for one in planned], "next": None})


@router.get(
    "/v1/schedules/{name}",
    operation_id="get_schedule",
    summary="Look at a schedule",
    responses={200: {"model": ScheduleDocument}, **responses.responses(404, 503)},
)
async def get_schedule(name: str, given: Given) -> Response:
    """Look at one schedule."""
    return documents.answer(views.schedule(await given.promptly(given.inspector.schedule(name))))


@router.post(
    "/v1/schedules/{name}/run",
    operation_id="run_schedule",
    summary="Run a schedule now",
    status_code=202,
    responses={202: {"model": JobDocument}, **responses.responses(404, 503)},
)
async def run_schedule(name: str, given: Given, after: BackgroundTask) -> Response:
    """Fire a tick now, as a job of its own, beside those of the plan; a paused schedule too."""
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
    """Let its ticks go by, over the whole fleet, until it is resumed; none of them is made up for."""
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
    """Let it fire again, from its next tick on."""
    await given.promptly(given.operations.resume_schedule(name), part="writes")
    after.audit("schedule.resume", name)
    return documents.answer(views.schedule(await given.promptly(given.inspector.schedule(name))))
