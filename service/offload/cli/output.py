"""Printing: JSON for programs, tables for people, and colours on a terminal only."""

import sys
from io import StringIO
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console, RenderableType
from rich.table import Table

from offload.domain.states import Status

_NO_LIMIT = 1000

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

STYLES = {
    Status.DEFERRED: "cyan",
    Status.QUEUED: "blue",
    Status.RUNNING: "yellow",
    Status.RETRYING: "magenta",
    Status.SUCCEEDED: "green",
    Status.DEAD: "bold red",
    Status.ABORTED: "red",
}


def show(renderable: RenderableType) -> None:
    """Print for a person: fitted to the terminal; without one, as wide as needed, without colours and padding."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(renderable)
        return
    wide = Console(highlight=False, width=_NO_LIMIT, no_color=True, file=StringIO())
    with wide.capture() as captured:
        wide.print(renderable)
    print("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table, without borders, with some columns aligned right."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def print_json(value: Any) -> None:
    """Print one JSON document: indented on a terminal, on one line for a program."""
    option = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
    print(orjson.dumps(value, default=str, option=option | orjson.OPT_NON_STR_KEYS).decode())


def print_json_line(value: Any) -> None:
    """Print one JSON document of many on a line of its own, at once."""
    print(orjson.dumps(value, default=str).decode(), flush=True)


def status_text(status: Status) -> str:
    """Return a status with its colour, as rich markup."""
    return f"[{STYLES[status]}]{status}[/]"


def seconds(ms: float | None) -> str:
    """Render a duration in milliseconds for a person: `12 ms`, `3.4 s`, `5 min`, `2.5 h`; empty for None."""
    if ms is None:
        return ""
    for limit, unit, size in ((1000, "ms", 1), (120_000, "s", 1000), (7_200_000, "min", 60_000)):
        if ms < limit:
            return f"{ms / size:.0f} {unit}" if size == 1 or ms >= 100 * size else f"{ms / size:.3g} {unit}"
    return f"{ms / 3_600_000:.3g} h" if ms < 172_800_000 else f"{ms / 86_400_000:.3g} d"
