"""`offload jobs …`: list and inspect jobs, wait for one, abort or retry some."""

from typing import Annotated

import typer
from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from offload.cli import documents, errors, filters, output, session
from offload.cli.commands.waiting import print_end, wait_for_end
from offload.domain import views
from offload.domain.clock import now_ms, rfc3339
from offload.domain.filters import BulkOutcome, Filter
from offload.domain.records import JobRecord
from offload.domain.states import Status
from offload.wiring import Backend

app = typer.Typer(help="List and inspect jobs; wait for, abort or retry them.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
JobIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Job ids.", show_default=False)]


@app.command("list")
def list_jobs(
    status: filters.WithStatus = None,
    function: filters.OfFunction = None,
    queue: filters.OfQueue = None,
    tag: filters.WithTag = None,
    error: filters.WithError = None,
    enqueued_after: filters.EnqueuedAfter = None,
    enqueued_before: filters.EnqueuedBefore = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of jobs.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Continue after an earlier page; its last line shows the value.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """List jobs that match all filters, newest first."""
    selection = filters.filter_of(status, function, queue, tag, error, enqueued_after, enqueued_before)
    page = session.run(lambda offload: offload.inspector.list_jobs(selection, limit, cursor))
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
    empty = "no matches on this page" if page.next else "no jobs" + ("" if selection.is_empty else " match")
    output.show(table if page.items else empty)
    if page.next:
        output.show(f"[dim]more: --cursor {page.next}[/dim]")


@app.command("show")
def show(job_id: JobId, as_json: output.Json = False) -> None:
    """Show a job: arguments, result or error, failed attempts with tracebacks, log lines."""
    record = session.run(lambda offload: offload.inspector.get(job_id))
    if as_json:
        output.print_json(views.job(record))
    else:
        output.show(view(record))


@app.command("explain")
def explain(job_id: JobId, as_json: output.Json = False) -> None:
    """Explain in one sentence why a job is not running, where it runs, or how it ended."""
    explanation = session.run(lambda offload: offload.inspector.explain(job_id))
    if as_json:
        output.print_json(views.explanation(explanation))
    else:
        print(explanation.sentence)


@app.command("wait")
def wait(
    job_id: JobId,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="Maximum time to wait.")] = None,
    as_json: output.Json = False,
) -> None:
    """Wait for a job to finish and print its result. Exits with 1 if it failed or did not finish in time."""
    print_end(session.run(lambda offload: wait_for_end(offload, job_id, timeout)), as_json=as_json)


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
    """Abort jobs by id or filter. Waiting jobs are aborted at once; running jobs are asked to stop."""
    ids = job_ids or []
    selection = filters.filter_of(status, function, queue, tag, error, enqueued_after, enqueued_before)
    filters.check_ids_or_filters(ids, selection, dry_run=dry_run)
    if not ids:

        async def act(offload: Backend, chosen: Filter, most: int) -> BulkOutcome:
            return await offload.client.abort_all(chosen, most, dry_run=dry_run)

        filters.act_on_all("abort", act, selection, limit, dry_run=dry_run, as_json=as_json)
        return

    async def work(offload: Backend) -> tuple[dict[str, str], list[JobRecord]]:
        answers = {}
        for job_id in ids:
            answers[job_id] = await offload.client.abort(job_id)
            if answers[job_id] not in {Status.SUCCEEDED, Status.DEAD}:
                await offload.operations.audit(session.actor(), "job.abort", job_id)
        return answers, [await offload.inspector.get(job_id) for job_id in ids] if as_json else []

    answers, records = session.run(work)
    if as_json:
        output.print_json({"items": [documents.job(record) for record in records], "next": None})
    else:
        for job_id, answer in answers.items():
            print(f"{job_id} {answer}")
    if too_late := [job_id for job_id, answer in answers.items() if answer in {Status.SUCCEEDED, Status.DEAD}]:
        errors.write_stderr(f"error: already finished: {', '.join(too_late)}")
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
    """Retry jobs by id or filter. Dead and aborted jobs are requeued; deferred and retrying jobs run now."""
    ids = job_ids or []
    selection = filters.filter_of(status, function, queue, tag, error, enqueued_after, enqueued_before)
    filters.check_ids_or_filters(ids, selection, dry_run=dry_run)
    if not ids:

        async def act(offload: Backend, chosen: Filter, most: int) -> BulkOutcome:
            return await offload.client.retry_all(chosen, most, dry_run=dry_run)

        filters.act_on_all("retry", act, selection, limit, dry_run=dry_run, as_json=as_json)
        return

    async def work(offload: Backend) -> list[JobRecord]:
        for job_id in ids:
            await offload.client.retry(job_id)
            await offload.operations.audit(session.actor(), "job.retry", job_id)
        return [await offload.inspector.get(job_id) for job_id in ids] if as_json else []

    records = session.run(work)
    if as_json:
        output.print_json({"items": [documents.job(record) for record in records], "next": None})
    else:
        for job_id in ids:
            print(f"{job_id} {Status.QUEUED}")


def view(record: JobRecord) -> Group:
    """Return everything that is known about a job, for a person."""
    suffix = " (aborting)" if record.aborting else ""
    title = f"[bold]{escape(record.function or '?')}[/bold]  {output.status_text(record.status)}{suffix}"
    parts: list[object] = [title, Padding(_facts(record), (0, 0, 0, 2))]
    if record.result is not None:
        parts += [_heading("result"), _indented(record.result.decode())]
    elif record.result_expired:
        parts += [_heading("result"), _indented("expired")]
    if record.attempts:
        parts.append(_heading("failed attempts"))
        for failed in record.attempts:
            took = output.seconds(failed.ended_ms - failed.started_ms) if failed.started_ms else "0 ms"
            where = f" on {escape(failed.worker)}" if failed.worker else ""
            parts.append(f"  attempt {failed.attempt}, {rfc3339(failed.ended_ms)}, after {took}{where}")
            fingerprint = f"  [dim]fingerprint {failed.error.fingerprint}[/dim]" if failed.error.fingerprint else ""
            parts.append(f"    [red]{escape(failed.error.type)}: {escape(failed.error.message)}[/red]{fingerprint}")
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
    percent = "" if progress is None or progress.fraction is None else f"{progress.fraction:.0%} "
    rows: dict[str, str | None] = {
        "id": record.id,
        "queue": record.queue,
        "attempt": _attempt(record),
        "enqueued": rfc3339(record.enqueued_ms),
        "runs at": rfc3339(record.due_ms) if record.status in (Status.DEFERRED, Status.RETRYING) else None,
        "started": rfc3339(record.started_ms),
        "finished": rfc3339(record.finished_ms),
        "run time": output.seconds(_ran_ms(record)),
        "event loop": _loop(record),
        "stalls": f"{record.stalls}: offload stalls --job {record.id}" if record.stalls else None,
        "executor wait": output.seconds(record.executor_wait_ms),
        "CPU": output.seconds(record.cpu_ms),
        "peak memory": None if record.peak_rss_bytes is None else f"{record.peak_rss_bytes / 1_048_576:.0f} MiB",
        "worker": record.worker,
        "tags": ", ".join(record.tags),
        "progress": f"{percent}{progress.message or ''}" if progress else None,
        "expires": rfc3339(record.expires_ms),
        "arguments": documents.compact(record.args) if record.args is not None else "expired",
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
    pairs = fields.items() if isinstance(fields, dict) else ()
    shown = " ".join(f"{key}={documents.compact(value)}" for key, value in pairs)
    when = rfc3339(at) if isinstance(at, int) else ""
    return f"  [dim]{when}[/dim] {line.get('level')} {escape(str(line.get('message')))} {escape(shown)}".rstrip()


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
