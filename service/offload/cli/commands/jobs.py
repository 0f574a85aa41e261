"""`offload jobs …`: look at jobs, wait for one, stop one, put one back."""

from typing import Annotated

import typer
from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from offload.cli import documents, errors, filters, output, session
from offload.cli.identity import who
from offload.cli.waiting import finished, tell_end
from offload.domain import views
from offload.domain.clock import now_ms, rfc3339
from offload.domain.filters import BulkOutcome, Filter
from offload.domain.records import JobRecord
from offload.domain.states import Status
from offload.wiring import Backend

app = typer.Typer(help="Look at jobs, wait for them, stop them, put them back.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
JobIds = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of jobs.", show_default=False)]


@app.command("list")
def list_jobs(
    status: filters.WithStatus = None,
    function: filters.OfFunction = None,
    queue: filters.OfQueue = None,
    tag: filters.WithTag = None,
    error: filters.WithError = None,
    enqueued_after: filters.EnqueuedAfter = None,
    enqueued_before: filters.EnqueuedBefore = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where a list ended.")] = None,
    as_json: output.Json = False,
) -> None:
    """List jobs that fit all filters, newest first."""
    fits = filters.which(status, function, queue, tag, error, enqueued_after, enqueued_before)
    page = session.run(lambda offload: offload.inspector.list_jobs(fits, limit, cursor))
    if as_json:
        output.print_json({"items": documents.jobs(page.items), "next": page.next})
        return
    table = output.table("id", "function", "queue", "status", "attempt", "age", "ran", right=("attempt", "age", "ran"))
    now = now_ms()
    for record in page.items:
        table.add_row(
            record.id,
            escape(record.function or "?"),
            record.queue,
            output.status_text(record.status),
            _attempt(record),
            output.seconds(now - record.enqueued_ms) if record.enqueued_ms else "",
            output.seconds(_ran_ms(record)),
        )
    nobody = "none here" if page.next else "no jobs" + ("" if fits.is_empty else " fit")
    output.show(table if page.items else nobody)
    if page.next:
        output.show(f"[dim]more: --cursor {page.next}[/dim]")


@app.command("show")
def show(job_id: JobId, as_json: output.Json = False) -> None:
    """Show one job: arguments, result or error, failed attempts with their tracebacks, log lines."""
    record = session.run(lambda offload: offload.inspector.get(job_id))
    if as_json:
        output.print_json(views.job(record))
    else:
        output.show(view(record))


@app.command("explain")
def explain(job_id: JobId, as_json: output.Json = False) -> None:
    """Say in one sentence why a job is not running, where it runs, or how it ended."""
    why = session.run(lambda offload: offload.inspector.explain(job_id))
    if as_json:
        output.print_json(views.explanation(why))
    else:
        print(why.sentence)


@app.command("wait")
def wait(
    job_id: JobId,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="Wait so long at most.")] = None,
    as_json: output.Json = False,
) -> None:
    """Wait for a job to end and print its result; exit with 1 if it failed, or is not done in time."""
    tell_end(session.run(lambda offload: finished(offload, job_id, timeout)), as_json=as_json)


@app.command("abort")
def abort(
    job_ids: JobIds = None,
    status: filters.WithStatus = None,
    function: filters.OfFunction = None,
    queue: filters.OfQueue = None,
    tag: filters.WithTag = None,
    error: filters.WithError = None,
    enqueued_after: filters.EnqueuedAfter = None,
    enqueued_before: filters.EnqueuedBefore = None,
    dry_run: filters.DryRun = False,
    limit: filters.AtMost = 1000,
    as_json: output.Json = False,
) -> None:
    """Stop jobs, named or all that fit filters: one that waits is aborted at once, one that runs is told to stop."""
    ids = job_ids or []
    fits = filters.which(status, function, queue, tag, error, enqueued_after, enqueued_before)
    filters.check_one_way(ids, fits, dry_run=dry_run)
    if not ids:

        async def act(offload: Backend, which: Filter, most: int) -> BulkOutcome:
            return await offload.client.abort_all(which, most, dry_run=dry_run)

        filters.do_to_all("abort", act, fits, limit, dry_run=dry_run, as_json=as_json)
        return

    async def work(offload: Backend) -> dict[str, str]:
        said = {}
        for job_id in ids:
            said[job_id] = await offload.client.abort(job_id)
            if said[job_id] not in {Status.SUCCEEDED, Status.DEAD}:
                await offload.operations.audit(who(), "job.abort", job_id)
        return said

    said = session.run(work)
    if as_json:
        output.print_json([{"id": job_id, "status": answer} for job_id, answer in said.items()])
    else:
        for job_id, answer in said.items():
            print(f"{job_id} {answer}")
    if too_late := [job_id for job_id, answer in said.items() if answer in {Status.SUCCEEDED, Status.DEAD}]:
        errors.say(f"error: already ended: {', '.join(too_late)}")
        raise typer.Exit(errors.USAGE)


@app.command("retry")
def retry(
    job_ids: JobIds = None,
    status: filters.WithStatus = None,
    function: filters.OfFunction = None,
    queue: filters.OfQueue = None,
    tag: filters.WithTag = None,
    error: filters.WithError = None,
    enqueued_after: filters.EnqueuedAfter = None,
    enqueued_before: filters.EnqueuedBefore = None,
    dry_run: filters.DryRun = False,
    limit: filters.AtMost = 1000,
    as_json: output.Json = False,
) -> None:
    """Put jobs back, named or all that fit filters: dead and aborted ones; deferred and retrying ones run now."""
    ids = job_ids or []
    fits = filters.which(status, function, queue, tag, error, enqueued_after, enqueued_before)
    filters.check_one_way(ids, fits, dry_run=dry_run)
    if not ids:

        async def act(offload: Backend, which: Filter, most: int) -> BulkOutcome:
            return await offload.client.retry_all(which, most, dry_run=dry_run)

        filters.do_to_all("retry", act, fits, limit, dry_run=dry_run, as_json=as_json)
        return

    async def work(offload: Backend) -> None:
        for job_id in ids:
            await offload.client.retry(job_id)
            await offload.operations.audit(who(), "job.retry", job_id)

    session.run(work)
    if as_json:
        output.print_json([{"id": job_id, "status": Status.QUEUED} for job_id in ids])
    else:
        for job_id in ids:
            print(f"{job_id} {Status.QUEUED}")


def view(record: JobRecord) -> Group:
    """Return all that is known of a job, for a person."""
    doing = " (told to stop)" if record.aborting else ""
    title = f"[bold]{escape(record.function or '?')}[/bold]  {output.status_text(record.status)}{doing}"
    parts: list[object] = [title, Padding(_facts(record), (0, 0, 0, 2))]
    if record.result is not None:
        parts += [_heading("result"), _indented(record.result.decode())]
    elif record.result_expired:
        parts += [_heading("result"), _indented("no longer kept")]
    if record.attempts:
        parts.append(_heading("failed attempts"))
        for failed in record.attempts:
            took = output.seconds(failed.ended_ms - failed.started_ms) if failed.started_ms else "no time"
            where = f" on {escape(failed.worker)}" if failed.worker else ""
            parts.append(f"  attempt {failed.attempt}, {rfc3339(failed.ended_ms)}, after {took}{where}")
            like_it = f"  [dim]error {failed.error.fingerprint}[/dim]" if failed.error.fingerprint else ""
            parts.append(f"    [red]{escape(failed.error.type)}: {escape(failed.error.message)}[/red]{like_it}")
            if failed.error.traceback:
                parts.append(Padding(f"[dim]{escape(failed.error.traceback.rstrip())}[/dim]", (0, 0, 0, 4)))
    elif record.error:
        parts += [_heading("error"), _indented(f"{record.error.type}: {record.error.message}")]
        parts.append(Padding(f"[dim]{escape(record.error.traceback.rstrip())}[/dim]", (0, 0, 0, 4)))
    if record.log:
        parts.append(_heading("log"))
        parts += [_log_line(line) for line in record.log]
    return Group(*parts)  # type: ignore[arg-type]  # All are renderable.


def _facts(record: JobRecord) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    progress = record.progress
    said = "" if progress is None or progress.fraction is None else f"{progress.fraction:.0%} "
    rows: dict[str, str | None] = {
        "id": record.id,
        "queue": record.queue,
        "attempt": _attempt(record),
        "enqueued": rfc3339(record.enqueued_ms),
        "runs at": rfc3339(record.due_ms) if record.status in (Status.DEFERRED, Status.RETRYING) else None,
        "started": rfc3339(record.started_ms),
        "finished": rfc3339(record.finished_ms),
        "ran": output.seconds(_ran_ms(record)),
        "on the loop": _loop(record),
        "stalls": f"{record.stalls}: offload stalls --job {record.id}" if record.stalls else None,
        "waited for a place": output.seconds(record.executor_wait_ms),
        "CPU": output.seconds(record.cpu_ms),
        "peak memory": None if record.peak_rss_bytes is None else f"{record.peak_rss_bytes / 1_048_576:.0f} MiB",
        "worker": record.worker,
        "tags": ", ".join(record.tags),
        "progress": f"{said}{progress.message or ''}" if progress else None,
        "expires": rfc3339(record.expires_ms),
        "arguments": documents.compact(record.args) if record.args is not None else "no longer kept",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(value))
    return table


def _heading(text: str) -> str:
    return f"\n[bold]{text}[/bold]"


def _indented(text: str) -> Padding:
    return Padding(escape(text), (0, 0, 0, 2))


def _log_line(line: dict[str, object]) -> str:
    at = line.get("at")
    fields = line.get("fields")
    said = (
        " ".join(f"{key}={documents.compact(value)}" for key, value in fields.items())
        if isinstance(fields, dict)
        else ""
    )
    when = rfc3339(at) if isinstance(at, int) else ""
    return f"  [dim]{when}[/dim] {line.get('level')} {escape(str(line.get('message')))} {escape(said)}".rstrip()


def _loop(record: JobRecord) -> str | None:
    if record.loop_ms is None:
        return None
    took = output.seconds(record.loop_ms) if record.loop_ms >= 1000 else f"{record.loop_ms:.3g} ms"
    return f"{took} in {record.steps} {'step' if record.steps == 1 else 'steps'}"


def _attempt(record: JobRecord) -> str:
    return f"{record.attempt}/{record.max_tries}" if record.max_tries else str(record.attempt)


def _ran_ms(record: JobRecord) -> int | None:
    if record.started_ms is None:
        return None
    return (record.finished_ms or now_ms()) - record.started_ms
