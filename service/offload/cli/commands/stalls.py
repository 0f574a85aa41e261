"""`offload stalls`: lists what blocked an event loop, grouped by cause if asked, or as it happens."""

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from offload.cli import arguments, errors, output, session
from offload.documents.stalls import StallKind
from offload.domain import views
from offload.domain.clock import rfc3339
from offload.domain.errors import InvalidOptions
from offload.domain.events import MISSED, Event, EventFilter
from offload.domain.filters import StallFilter
from offload.domain.records import StallGroup
from offload.domain.stalls import blaming, complaint, shown_name, shown_place
from offload.settings import Settings
from offload.wiring import Backend

_ALL = 1000  # about as many as are kept
_NAMES = frozenset({"blocked", "stalled"})

FailOnStall = Annotated[
    bool, typer.Option("--fail-on-stall", help="Exit with status 1 if anything blocked the event loop (for CI).")
]


def stalls(
    kind: Annotated[StallKind | None, typer.Option(help="Only stalls of this kind.")] = None,
    function: Annotated[str | None, typer.Option(metavar="NAME", help="Only stalls by jobs of this function.")] = None,
    route: Annotated[str | None, typer.Option(help="Only stalls by this route, such as 'GET /v1/jobs'.")] = None,
    worker: Annotated[str | None, typer.Option(metavar="ID", help="Only stalls of this worker.")] = None,
    job: Annotated[str | None, typer.Option(metavar="ID", help="Only stalls by this job.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="Only stalls with this cause.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="AGO", help="Only stalls since this age (90s, 15m, 24h, 7d) or time.")
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Only stalls that ended before this time.")] = None,
    groups: Annotated[bool, typer.Option("--groups", help="Group by cause, longest total first.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Print stalls as they happen.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=_ALL, help="Maximum number of entries.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Continue after an earlier page; its last line shows the value.")
    ] = None,
    fail_on_stall: FailOnStall = False,
    as_json: output.Json = False,
) -> None:
    """List what blocked an event loop: the job or route, the line of code, and what to do instead."""
    which = StallFilter(
        kind=kind,
        function=function,
        route=route,
        worker=worker,
        job_id=job,
        fingerprint=fingerprint,
        after_ms=arguments.since_ms("--since", since),
        before_ms=arguments.time_ms("--before", before),
    )
    if groups or follow:
        _check_alone(which, groups=groups, follow=follow, fails=fail_on_stall)
    if groups:
        _list_groups(limit, cursor, as_json=as_json)
    elif follow:
        exit_if_blamed(session.run(lambda offload: _follow(offload, which, as_json=as_json, fails=fail_on_stall)))
    else:
        listed = _list(which, limit, cursor, as_json=as_json, whole=fail_on_stall)
        if fail_on_stall:
            exit_if_blamed(listed)


def exit_if_blamed(stalls: Iterable[Mapping[str, Any]]) -> None:
    """Report on stderr the lines that blocked a loop, and exit with 1; return if no line did."""
    if blamed := blaming(stalls):
        errors.write_stderr(f"error: {complaint(blamed, str(Path.cwd()))}")
        raise typer.Exit(errors.FAILED)


async def recent(offload: Backend, which: StallFilter) -> list[dict[str, Any]]:
    """Return all stored stalls that match."""
    return (await offload.inspector.stalls(_ALL, None, which))[0]


def check_watched(settings: Settings, *, fails: bool) -> None:
    """Raise InvalidOptions if a command is to fail on stalls while no loop is watched."""
    if fails and settings.stall_ms == 0:
        msg = "--fail-on-stall has no effect while OFFLOAD_STALL_MS is 0: event loops are not watched"
        raise InvalidOptions(msg)


def _check_alone(which: StallFilter, *, groups: bool, follow: bool, fails: bool) -> None:
    """Raise InvalidOptions for options that cannot be combined."""
    if groups and (follow or fails or which != StallFilter()):
        msg = "--groups covers all stalls; it can be combined with --limit, --cursor and --json only"
        raise InvalidOptions(msg)
    if follow and (which.after_ms is not None or which.before_ms is not None):
        msg = "--follow prints stalls from now on; --since and --before cannot be combined with it"
        raise InvalidOptions(msg)


def _list(which: StallFilter, limit: int, cursor: str | None, *, as_json: bool, whole: bool) -> list[dict[str, Any]]:
    """Print a page; return its stalls, or with `whole` all that match, and the ongoing ones."""

    async def work(offload: Backend) -> tuple[Any, str | None, Any, Any]:
        items, following = await offload.inspector.stalls(limit, cursor, which)
        ongoing = await offload.inspector.ongoing_stalls(which)
        every = await recent(offload, which) if whole else items
        return items, following, ongoing, every

    items, following, ongoing, every = session.run(work)
    if as_json:
        output.print_json({"items": items, "ongoing": ongoing, "next": following})
        return [*every, *ongoing]
    table = output.table("ended", "duration", "kind", "source", "line", "call", right=("duration",))
    for stall in ongoing:
        table.add_row("[yellow]ongoing[/yellow]", *_cells(stall))
    for stall in items:
        table.add_row(_when(stall["at"]), *_cells(stall))
    if items or ongoing:
        output.show(table)
        hints = {str(one.get("fingerprint")): str(one.get("hint", "")) for one in [*reversed(items), *ongoing]}
        output.show("\n".join(["", *(f"[dim]{escape(hint)}[/dim]" for hint in hints.values())]))
    else:
        output.show("no stalls" + ("" if which == StallFilter() else " match"))
    if following:
        output.show(f"[dim]more: --cursor {following}[/dim]")
    return [*every, *ongoing]


def _list_groups(limit: int, cursor: str | None, *, as_json: bool) -> None:
    causes, following = session.run(lambda offload: offload.inspector.stall_groups(limit, cursor))
    if as_json:
        output.print_json({"items": [views.stall_group(cause) for cause in causes], "next": following})
        return
    output.show("\n".join(_group(cause) for cause in causes) if causes else "no stalls")
    if following:
        output.show(f"[dim]more: --cursor {following}[/dim]")


def _group(one: StallGroup) -> str:
    count = f"{one.count} {'stall' if one.count == 1 else 'stalls'}, longest {output.seconds(one.max_ms)}"
    cells = "  ".join(_cells(one.last)[1:])
    last = _when(str(rfc3339(one.last_ms)))
    return (
        f"[bold]{output.seconds(one.held_ms)}[/bold] in {count}  {cells}  [dim]last {last}, {one.fingerprint}[/dim]\n"
        f"  {escape(str(one.last.get('hint', '')))}"
    )


async def _follow(offload: Backend, which: StallFilter, *, as_json: bool, fails: bool) -> list[dict[str, Any]]:
    """Print stalls until interrupted, or with `fails` until the first one that a line of code caused."""
    wanted = EventFilter(functions=None if which.function is None else frozenset({which.function}), names=_NAMES)
    hinted: set[str] = set()
    async with aclosing(offload.inspector.all_events(wanted)) as stream:
        async for events in stream:
            for event in events:
                if event.name == MISSED:
                    errors.write_stderr("warning: some stalls were missed")
                    continue
                stall = {**event.data, "job_id": event.job_id or None}
                if not which.matches(stall):
                    continue
                _print_event(event, stall, hinted, as_json=as_json)
                if fails and event.name == "stalled" and blaming([stall]):
                    return [stall]
    return []


def _print_event(event: Event, stall: dict[str, Any], hinted: set[str], *, as_json: bool) -> None:
    at = str(rfc3339(event.at_ms))
    if as_json:
        output.print_json_line({"event": event.name, "at": at, **stall})
        return
    print(f"{_when(at)}  {event.name}  {'  '.join(_plain_cells(stall))}", flush=True)
    fingerprint = str(stall.get("fingerprint"))
    if event.name == "stalled" and fingerprint not in hinted:
        hinted.add(fingerprint)
        print(f"  {stall.get('hint', '')}", flush=True)


def _plain_cells(stall: Mapping[str, Any]) -> list[str]:
    call = " ".join(str(stall.get("call") or stall.get("code") or "").split())
    where = shown_place(stall, str(Path.cwd()))
    return [output.seconds(stall["held_ms"]), str(stall["kind"]), shown_name(stall), where, call]


def _cells(stall: Mapping[str, Any]) -> list[str]:
    return [escape(cell) for cell in _plain_cells(stall)]


def _when(at: str) -> str:
    return f"{at[:19]}Z"
