"""`offload schedules …`: lists schedules, runs one now, pauses and resumes them."""

from typing import Annotated

import typer
from rich.markup import escape

from offload.cli import output, session
from offload.domain import views
from offload.domain.clock import now_ms
from offload.domain.records import JobRecord, ScheduleView
from offload.wiring import Backend

app = typer.Typer(help="List, run, pause and resume schedules.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]


@app.command("list")
def list_schedules(as_json: output.Json = False) -> None:
    """List schedules: next and last run, and the job of the last run."""
    planned = session.run(lambda offload: offload.inspector.schedules())
    if as_json:
        output.print_json({"items": [views.schedule(one) for one in planned], "next": None})
        return
    table = output.table("schedule", "plan", "function", "next", "last", "last job", "", right=("next", "last"))
    now = now_ms()
    for one in planned:
        table.add_row(
            escape(one.name),
            one.plan,
            one.function,
            f"in {output.seconds(max(0, one.next_ms - now))}" if one.next_ms else "",
            f"{output.seconds(now - one.last_ms)} ago" if one.last_ms else "",
            escape(one.last_job or ""),
            "[yellow]paused[/yellow]" if one.paused else "",
        )
    output.show(table if planned else "no schedules in the job modules")


@app.command("run")
def run(name: Name, as_json: output.Json = False) -> None:
    """Run the schedule now, even if paused, in addition to its regular runs. Prints the job id."""

    async def work(offload: Backend) -> JobRecord:
        job_id = await offload.operations.run_schedule(name)
        await offload.operations.audit(session.actor(), "schedule.run", name, job_id=job_id)
        return await offload.inspector.get(job_id)

    record = session.run(work)
    if as_json:
        output.print_json(views.job(record))
    else:
        print(record.id)


@app.command("pause")
def pause(name: Name, as_json: output.Json = False) -> None:
    """Pause a schedule. Missed runs are not made up."""

    async def work(offload: Backend) -> ScheduleView:
        await offload.operations.pause_schedule(name)
        await offload.operations.audit(session.actor(), "schedule.pause", name)
        return await offload.inspector.schedule(name)

    _print_schedule(session.run(work), as_json=as_json)


@app.command("resume")
def resume(name: Name, as_json: output.Json = False) -> None:
    """Resume a paused schedule, from its next regular run."""

    async def work(offload: Backend) -> ScheduleView:
        await offload.operations.resume_schedule(name)
        await offload.operations.audit(session.actor(), "schedule.resume", name)
        return await offload.inspector.schedule(name)

    _print_schedule(session.run(work), as_json=as_json)


def _print_schedule(schedule: ScheduleView, *, as_json: bool) -> None:
    if as_json:
        output.print_json(views.schedule(schedule))
    else:
        print(f"{schedule.name} {'paused' if schedule.paused else 'active'}")
