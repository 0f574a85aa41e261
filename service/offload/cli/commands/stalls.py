"""`offload stalls`: what held an event loop, one by one, by cause, or while it happens."""

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
    bool, typer.Option("--fail-on-stall", help="Exit with 1 where a step or a callback held a loop; for CI.")
]


def stalls(
    kind: Annotated[StallKind | None, typer.Option(help="Only stalls of this kind.")] = None,
    function: Annotated[str | None, typer.Option(metavar="NAME", help="Only what jobs of this function held.")] = None,
    route: Annotated[str | None, typer.Option(help="Only what this route held, as 'GET /v1/jobs'.")] = None,
    worker: Annotated[str | None, typer.Option(metavar="ID", help="Only what held this worker.")] = None,
    job: Annotated[str | None, typer.Option(metavar="ID", help="Only what this job held.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="Only stalls of this cause.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="AGO", help="Only those of the last 90s, 15m, 24h, 7d; or a time.")
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Only those that ended before that.")] = None,
    groups: Annotated[bool, typer.Option("--groups", help="By cause, what held most in all first.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Tell what holds a loop while it happens.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=_ALL, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where a list ended.")] = None,
    fail_on_stall: FailOnStall = False,
    as_json: output.Json = False,
) -> None:
    """List what held an event loop for too long: which job or route, which line, and what to do instead."""
    which = StallFilter(
        kind=kind,
        function=function,
        route=route,
        worker=worker,
        job_id=job,
        fingerprint=fingerprint,
        after_ms=arguments.since_ms("--since", since),
        before_ms=arguments.moment_ms("--before", before),
    )
    if groups or follow:
        _check_alone(which, groups=groups, follow=follow, fails=fail_on_stall)
    if groups:
        _list_groups(limit, cursor, as_json=as_json)
    elif follow:
        exit_if_blamed(session.run(lambda offload: _follow(offload, which, as_json=as_json, fails=fail_on_stall)))
    else:
        found = _list(which, limit, cursor, as_json=as_json, whole=fail_on_stall)
        if fail_on_stall:
            exit_if_blamed(found)


def exit_if_blamed(found: Iterable[Mapping[str, Any]]) -> None:
    """Say on stderr which lines held a loop, and exit with 1; return where nobody is to blame."""
    if blamed := blaming(found):
        errors.say(f"error: {complaint(blamed, str(Path.cwd()))}")
        raise typer.Exit(errors.FAILED)


async def recent(offload: Backend, which: StallFilter) -> list[dict[str, Any]]:
    """Return all stalls that fit, as far as they are kept."""
    return (await offload.inspector.stalls(_ALL, None, which))[0]


def check_watched(settings: Settings, *, fails: bool) -> None:
    """Raise InvalidOptions where a command is to fail on stalls, and no loop is watched."""
    if fails and settings.stall_ms == 0:
        msg = "--fail-on-stall finds nothing while OFFLOAD_STALL_MS is 0: the event loops are not watched"
        raise InvalidOptions(msg)


def _check_alone(which: StallFilter, *, groups: bool, follow: bool, fails: bool) -> None:
    """Raise InvalidOptions for options that would mean nothing."""
    if groups and (follow or fails or which != StallFilter()):
        msg = "--groups are of all stalls; it goes with --limit, --cursor and --json alone"
        raise InvalidOptions(msg)
    if follow and (which.after_ms is not None or which.before_ms is not None):
        msg = "--follow is about what happens from now on; --since and --before are for lists"
        raise InvalidOptions(msg)


def _list(which: StallFilter, limit: int, cursor: str | None, *, as_json: bool, whole: bool) -> list[dict[str, Any]]:
    """Print a page; return its stalls, or `whole` all that fit, those that last just now among them."""

    async def work(offload: Backend) -> tuple[Any, str | None, Any, Any]:
        items, following = await offload.inspector.stalls(limit, cursor, which)
        ongoing = await offload.inspector.ongoing_stalls(which)
        every = await recent(offload, which) if whole else items
        return items, following, ongoing, every

    items, following, ongoing, every = session.run(work)
    if as_json:
        output.print_json({"items": items, "ongoing": ongoing, "next": following})
        return [*every, *ongoing]
    table = output.table("ended", "held", "kind", "what", "where", "call", right=("held",))
    for stall in ongoing:
        table.add_row("[yellow]still held[/yellow]", *_cells(stall))
    for stall in items:
        table.add_row(_when(stall["at"]), *_cells(stall))
    if items or ongoing:
        output.show(table)
        hints = {str(one.get("fingerprint")): str(one.get("hint", "")) for one in [*reversed(items), *ongoing]}
        output.show("\n".join(["", *(f"[dim]{escape(hint)}[/dim]" for hint in hints.values())]))
    else:
        output.show("no stalls" + ("" if which == StallFilter() else " fit"))
    if following:
        output.show(f"[dim]more: --cursor {following}[/dim]")
    return [*every, *ongoing]


def _list_groups(limit: int, cursor: str | None, *, as_json: bool) -> None:
    found, following = session.run(lambda offload: offload.inspector.stall_groups(limit, cursor))
    if as_json:
        output.print_json({"items": [views.stall_group(one) for one in found], "next": following})
        return
    output.show("\n".join(_group(one) for one in found) if found else "no stalls")
    if following:
        output.show(f"[dim]more: --cursor {following}[/dim]")


def _group(one: StallGroup) -> str:
    many = f"{one.count} {'stall' if one.count == 1 else 'stalls'}, the longest {output.seconds(one.max_ms)}"
    cells = "  ".join(_cells(one.last)[1:])
    last = _when(str(rfc3339(one.last_ms)))
    return (
        f"[bold]{output.seconds(one.held_ms)}[/bold] in {many}  {cells}  [dim]last {last}, {one.fingerprint}[/dim]\n"
        f"  {escape(str(one.last.get('hint', '')))}"
    )


async def _follow(offload: Backend, which: StallFilter, *, as_json: bool, fails: bool) -> list[dict[str, Any]]:
    """Tell what happens until it is interrupted, or with `fails` until the first that is somebody's fault."""
    wanted = EventFilter(functions=None if which.function is None else frozenset({which.function}), names=_NAMES)
    hinted: set[str] = set()
    async with aclosing(offload.inspector.all_events(wanted)) as stream:
        async for events in stream:
            for event in events:
                if event.name == MISSED:
                    errors.say("warning: some were missed")
                    continue
                stall = {**event.data, "job_id": event.job_id or None}
                if not which.matches(stall):
                    continue
                _tell(event, stall, hinted, as_json=as_json)
                if fails and event.name == "stalled" and blaming([stall]):
                    return [stall]
    return []


def _tell(event: Event, stall: dict[str, Any], hinted: set[str], *, as_json: bool) -> None:
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
