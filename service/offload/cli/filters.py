"""Which jobs a command is about: the filters of `GET /v1/jobs` as options, and what is done to all that fit."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from offload.cli import arguments, documents, output, session
from offload.domain.errors import InvalidOptions
from offload.domain.filters import BulkOutcome, Filter
from offload.domain.states import Status
from offload.wiring import Backend

WithStatus = Annotated[Status | None, typer.Option("--status", help="Only jobs that stand there.")]
OfFunction = Annotated[str | None, typer.Option("--function", metavar="NAME", help="Only jobs of this function.")]
OfQueue = Annotated[str | None, typer.Option("--queue", metavar="NAME", help="Only jobs of this queue.")]
WithTag = Annotated[str | None, typer.Option("--tag", help="Only jobs with this tag.")]
WithError = Annotated[
    str | None,
    typer.Option("--error", metavar="FINGERPRINT", help="Only jobs that ever failed in this way."),
]
EnqueuedAfter = Annotated[
    str | None, typer.Option("--enqueued-after", metavar="TIME", help="Only jobs put in then or later.")
]
EnqueuedBefore = Annotated[
    str | None, typer.Option("--enqueued-before", metavar="TIME", help="Only jobs put in before that.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With filters: count the jobs, and change nothing.")]
AtMost = Annotated[int, typer.Option("--limit", min=1, help="With filters: how many jobs at most, the newest first.")]

Action = Callable[[Backend, Filter, int], Awaitable[BulkOutcome]]
_AT_ONCE = 10_000


def filter_of(
    status: Status | None,
    function: str | None,
    queue: str | None,
    tag: str | None,
    error: str | None,
    enqueued_after: str | None,
    enqueued_before: str | None,
) -> Filter:
    """Return the filter that options make; raises InvalidOptions."""
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
    """Raise InvalidOptions unless jobs are named by their ids, or else by filters."""
    if ids and (dry_run or not selection.is_empty):
        msg = "give either ids of jobs or filters, not both; --dry-run is for filters"
        raise InvalidOptions(msg)
    if not ids and selection.is_empty:
        msg = "which jobs? give their ids, or filters such as --status or --function; --dry-run counts what fits"
        raise InvalidOptions(msg)


def act_on_all(verb: str, act: Action, selection: Filter, limit: int, *, dry_run: bool, as_json: bool) -> None:
    """Act on all that fits, at most `limit` jobs, and tell what came of it; it stands in the audit."""

    async def work(offload: Backend) -> BulkOutcome:
        outcome = await act(offload, selection, min(limit, _AT_ONCE))
        while outcome.has_more and not dry_run and outcome.matched < limit:
            outcome = outcome.plus(await act(offload, selection, min(limit - outcome.matched, _AT_ONCE)))
        if not dry_run:
            said = {name: value for name, value in selection.as_dict().items() if value is not None}
            about = {"filter": said, "matched": outcome.matched}
            await offload.operations.audit(session.actor(), f"jobs.{verb}", "jobs", outcome.done, **about)
        return outcome

    outcome = session.run(work)
    if as_json:
        output.print_json(documents.bulk(outcome))
        return
    count = f"{outcome.matched} {'job' if outcome.matched == 1 else 'jobs'}"
    if dry_run:
        print(f"{'more than ' if outcome.has_more else ''}{count} fit; nothing was changed")
    else:
        print(f"{verb}: {outcome.done} of {count} that fit" + ("; there are more" if outcome.has_more else ""))
