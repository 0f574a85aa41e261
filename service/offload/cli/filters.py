"""The filters of `GET /v1/jobs` as options, and actions on all jobs that match."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from offload.cli import arguments, documents, output, session
from offload.domain.errors import InvalidOptions
from offload.domain.filters import BulkOutcome, Filter
from offload.domain.states import Status
from offload.wiring import Backend

WithStatus = Annotated[Status | None, typer.Option("--status", help="Only jobs with this status.")]
OfFunction = Annotated[str | None, typer.Option("--function", metavar="NAME", help="Only jobs of this function.")]
OfQueue = Annotated[str | None, typer.Option("--queue", metavar="NAME", help="Only jobs of this queue.")]
WithTag = Annotated[str | None, typer.Option("--tag", help="Only jobs with this tag.")]
WithError = Annotated[
    str | None,
    typer.Option("--error", metavar="FINGERPRINT", help="Only jobs with a failed attempt of this fingerprint."),
]
EnqueuedAfter = Annotated[
    str | None, typer.Option("--enqueued-after", metavar="TIME", help="Only jobs enqueued at or after this time.")
]
EnqueuedBefore = Annotated[
    str | None, typer.Option("--enqueued-before", metavar="TIME", help="Only jobs enqueued before this time.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With filters: count the matching jobs, change nothing.")]
AtMost = Annotated[int, typer.Option("--limit", min=1, help="With filters: maximum number of jobs, newest first.")]

Action = Callable[[Backend, Filter, int], Awaitable[BulkOutcome]]
_AT_ONCE = 10_000
_DONE = {"abort": "aborted", "retry": "retried"}


def filter_of(
    status: Status | None,
    function: str | None,
    queue: str | None,
    tag: str | None,
    error: str | None,
    enqueued_after: str | None,
    enqueued_before: str | None,
) -> Filter:
    """Return the filter that the options describe; raises InvalidOptions."""
    return Filter(
        status=status,
        function=function,
        queue=queue,
        tag=tag,
        error=error,
        enqueued_after_ms=arguments.time_ms("--enqueued-after", enqueued_after),
        enqueued_before_ms=arguments.time_ms("--enqueued-before", enqueued_before),
    )


def check_ids_or_filters(ids: list[str], selection: Filter, *, dry_run: bool) -> None:
    """Raise InvalidOptions unless jobs are selected either by ids or by filters."""
    if ids and (dry_run or not selection.is_empty):
        msg = "use either job ids or filters, not both; --dry-run works with filters"
        raise InvalidOptions(msg)
    if not ids and selection.is_empty:
        msg = "specify job ids or filters (--status, --function, …); use --dry-run to preview"
        raise InvalidOptions(msg)


def act_on_all(verb: str, act: Action, selection: Filter, limit: int, *, dry_run: bool, as_json: bool) -> None:
    """Act on up to `limit` matching jobs, print the outcome and write it to the audit."""

    async def work(offload: Backend) -> BulkOutcome:
        outcome = await act(offload, selection, min(limit, _AT_ONCE))
        while outcome.has_more and not dry_run and outcome.matched < limit:
            outcome = outcome.plus(await act(offload, selection, min(limit - outcome.matched, _AT_ONCE)))
        if not dry_run:
            chosen = {name: value for name, value in selection.as_dict().items() if value is not None}
            detail = {"filter": chosen, "matched": outcome.matched}
            await offload.operations.audit(session.actor(), f"jobs.{verb}", "jobs", outcome.done, **detail)
        return outcome

    outcome = session.run(work)
    if as_json:
        output.print_json(documents.bulk(outcome))
        return
    count = f"{outcome.matched} {'job' if outcome.matched == 1 else 'jobs'}"
    if dry_run:
        print(f"{'more than ' if outcome.has_more else ''}{count} match; nothing was changed")
    else:
        changed = f"{outcome.done}" if outcome.done == outcome.matched else f"{outcome.done} of {outcome.matched}"
        limited = " (limit); more match" if outcome.has_more else ""
        print(f"{_DONE[verb]} {changed} {'job' if outcome.matched == 1 else 'jobs'}{limited}")
