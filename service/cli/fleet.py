"""`offload queues list`, `offload workers`: what waits where, and who is there to run it."""

from typing import Any

import typer
from rich.markup import escape

from service.cli import documents, output, session
from service.domain.clock import now_ms

queues_app = typer.Typer(help="Look at queues.", no_args_is_help=True)


@queues_app.callback()
def _group() -> None:
    """Look at queues."""


@queues_app.command("list")
def list_queues(as_json: output.Json = False) -> None:
    """List every queue that is declared or was ever used: what waits, what runs, its limits."""
    states = session.run(lambda offload: offload.inspector.queues())
    if as_json:
        output.print_json({"items": documents.queues(states), "next": None})
        return
    numbers = ("queued", "deferred", "running", "oldest", "max running")
    table = output.table("queue", "queued", "deferred", "running", "oldest", "max running", "rate", "", right=numbers)
    now = now_ms()
    for state in states:
        table.add_row(
            state.name,
            str(state.queued),
            str(state.deferred),
            str(state.running),
            output.seconds(now - state.oldest_ms) if state.oldest_ms else "",
            str(state.max_running or ""),
            state.rate or "",
            "[yellow]paused[/yellow]" if state.paused else "",
        )
    output.show(table)


def workers(as_json: output.Json = False) -> None:
    """List the workers that are there."""
    found = session.run(lambda offload: offload.inspector.workers())
    if as_json:
        output.print_json({"items": found, "next": None})
        return
    numbers = ("running", "succeeded", "failed", "retried")
    table = output.table("worker", "running", "succeeded", "failed", "retried", "beat", "queues", right=numbers)
    now = now_ms()
    for about in found:
        table.add_row(*_row(about, now))
    output.show(table if found else "no workers: `offload worker` starts one")


def _row(about: dict[str, Any], now: int) -> list[str]:
    stopping = " [yellow]stopping[/yellow]" if about.get("stopping") else ""
    return [
        escape(str(about.get("id", "?"))) + stopping,
        f"{about.get('running', '?')}/{about.get('slots', '?')}",
        *(str(about.get(count, "")) for count in ("succeeded", "failed", "retried")),
        f"{output.seconds(now - about['beat'])} ago" if "beat" in about else "",
        escape(", ".join(map(str, about.get("queues") or ()))),
    ]
