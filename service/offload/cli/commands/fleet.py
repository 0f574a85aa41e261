"""`offload queues …`, `offload workers`: what waits where, holding it back, and who is there to run it."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from offload.cli import documents, output, session
from offload.cli.identity import who
from offload.domain.clock import now_ms
from offload.domain.records import QueueState
from offload.wiring import Backend

queues_app = typer.Typer(help="Look at queues, pause and resume them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]


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
            f"[yellow]{_paused(state)}[/yellow]" if state.paused else "",
        )
    output.show(table)


@queues_app.command("pause")
def pause_queue(name: Name, as_json: output.Json = False) -> None:
    """Start no more jobs of a queue, over the whole fleet, until it is resumed; what runs goes on."""

    async def work(offload: Backend) -> QueueState:
        changed = await offload.operations.pause_queue(name, who())
        await offload.operations.audit(who(), "queue.pause", name, changed=changed)
        return await offload.inspector.queue(name)

    _tell(session.run(work), as_json=as_json)


@queues_app.command("resume")
def resume_queue(name: Name, as_json: output.Json = False) -> None:
    """Let the jobs of a queue start again, at once."""

    async def work(offload: Backend) -> QueueState:
        changed = await offload.operations.resume_queue(name)
        await offload.operations.audit(who(), "queue.resume", name, changed=changed)
        return await offload.inspector.queue(name)

    _tell(session.run(work), as_json=as_json)


def _tell(state: QueueState, *, as_json: bool) -> None:
    if as_json:
        output.print_json(documents.queues([state])[0])
    else:
        print(f"{state.name} {_paused(state) if state.paused else 'runs'}")


def _paused(state: QueueState) -> str:
    by = f" by {state.paused_by}" if state.paused_by else ""
    return f"paused{by}" + (f" {output.seconds(now_ms() - state.paused_ms)} ago" if state.paused_ms else "")


def workers(as_json: output.Json = False) -> None:
    """List the workers that are there."""
    found, now = session.run(_workers)
    if as_json:
        output.print_json({"items": found, "next": None})
        return
    numbers = ("running", "succeeded", "failed", "retried", "loop", "lag")
    table = output.table("worker", *numbers, "beat", "queues", "threads and processes", right=numbers)
    for about in found:
        table.add_row(*_row(about, now))
    output.show(table if found else "no workers: `offload worker` starts one")


async def _workers(offload: Backend) -> tuple[list[dict[str, Any]], int]:
    """Return the workers, and the time by the clock that their heartbeats are timed by."""
    return await offload.inspector.workers(), await offload.inspector.clock_ms()


def _row(about: dict[str, Any], now: int) -> list[str]:
    loop = about.get("loop") or {}
    stopping = " [yellow]stopping[/yellow]" if about.get("stopping") else ""
    return [
        escape(str(about.get("id", "?"))) + stopping,
        f"{about.get('running', '?')}/{about.get('slots', '?')}",
        *(str(about.get(count, "")) for count in ("succeeded", "failed", "retried")),
        f"{loop['busy']:.0%}" if "busy" in loop else "",
        output.seconds(loop.get("max_lag_ms")),
        f"{output.seconds(now - about['beat'])} ago" if "beat" in about else "",
        escape(", ".join(map(str, about.get("queues") or ()))),
        escape("; ".join(_executor(one) for one in about.get("executors") or ())),
    ]


def _executor(one: dict[str, Any]) -> str:
    """Say what the threads or processes of one queue do: `llm 2/2 threads, 3 waiting, 1 leaked`."""
    plural = "processes" if one["kind"] == "process" else "threads"
    more = [f"{one[name]} {name}" for name in ("waiting", "leaked") if one[name]]
    return ", ".join([f"{one['queue']} {one['busy']}/{one['size']} {plural}", *more])
