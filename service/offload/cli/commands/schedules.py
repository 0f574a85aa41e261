"""`offload schedules …`: what is planned, running one now, letting ticks go by."""

from typing import Annotated

import typer
from rich.markup import escape

from offload.cli import output, session
from offload.cli.identity import who
from offload.domain import views
from offload.domain.clock import now_ms
from offload.domain.records import JobRecord, ScheduleView
from offload.wiring import Backend

app = typer.Typer(help="Look at schedules, run one now, let ticks go by.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]


@app.command("list")
def list_schedules(as_json: output.Json = False) -> None:
    """List the schedules of the code: when each fires next, when it last did, and that tick's job."""
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
    output.show(table if planned else "no schedules in the modules of OFFLOAD_JOBS")


@app.command("run")
def run(name: Name, as_json: output.Json = False) -> None:
    """Fire a tick now, paused or not, beside those of the plan; print the id of its job."""

    async def work(offload: Backend) -> JobRecord:
        job_id = await offload.operations.run_schedule(name)
        await offload.operations.audit(who(), "schedule.run", name, job_id=job_id)
        return await offload.inspector.get(job_id)

    record = session.run(work)
    if as_json:
        output.print_json(views.job(record))
    else:
        print(record.id)


@app.command("pause")
def pause(name: Name, as_json: output.Json = False) -> None:
    """Let the ticks of a schedule go by until it is resumed; none of them is made up for."""

    async def work(offload: Backend) -> ScheduleView:
        await offload.operations.pause_schedule(name)
        await offload.operations.audit(who(), "schedule.pause", name)
        return await offload.inspector.schedule(name)

    _tell(session.run(work), as_json=as_json)


@app.command("resume")
def resume(name: Name, as_json: output.Json = False) -> None:
    """Let a schedule fire again, from its next tick on."""

    async def work(offload: Backend) -> ScheduleView:
        await offload.operations.resume_schedule(name)
        await offload.operations.audit(who(), "schedule.resume", name)
        return await offload.inspector.schedule(name)

    _tell(session.run(work), as_json=as_json)


def _tell(one: ScheduleView, *, as_json: bool) -> None:
    if as_json:
        output.print_json(views.schedule(one))
    else:
        print(f"{one.name} {'paused' if one.paused else 'runs'}")
