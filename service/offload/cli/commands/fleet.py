"""`offload queues …` and `offload workers`."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from offload.cli import documents, output, session
from offload.domain.clock import now_ms
from offload.domain.records import QueueState
from offload.wiring import Backend

queues_app = typer.Typer(help="List, pause and resume queues.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]


@queues_app.command("list")
def list_queues(as_json: output.Json = False) -> None:
    """List all queues that are declared or were used: waiting and running jobs, limits."""
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
    """Stop starting jobs from this queue on all workers until resumed. Running jobs finish."""

    async def work(offload: Backend) -> QueueState:
        changed = await offload.operations.pause_queue(name, session.actor())
        await offload.operations.audit(session.actor(), "queue.pause", name, changed=changed)
        return await offload.inspector.queue(name)

    _print_queue(session.run(work), as_json=as_json)


@queues_app.command("resume")
def resume_queue(name: Name, as_json: output.Json = False) -> None:
    """Resume a paused queue. Its jobs start again at once."""

    async def work(offload: Backend) -> QueueState:
        changed = await offload.operations.resume_queue(name)
        await offload.operations.audit(session.actor(), "queue.resume", name, changed=changed)
        return await offload.inspector.queue(name)

    _print_queue(session.run(work), as_json=as_json)


def _print_queue(state: QueueState, *, as_json: bool) -> None:
    if as_json:
        output.print_json(documents.queues([state])[0])
    else:
        print(f"{state.name} {_paused(state) if state.paused else 'active'}")


def _paused(state: QueueState) -> str:
    by = f" by {state.paused_by}" if state.paused_by else ""
    return f"paused{by}" + (f" {output.seconds(now_ms() - state.paused_ms)} ago" if state.paused_ms else "")


def workers(as_json: output.Json = False) -> None:
    """List live workers."""
    live, now = session.run(_live_workers)
    if as_json:
        output.print_json({"items": documents.workers(live), "next": None})
        return
    numbers = ("running", "succeeded", "failed", "retried", "loop", "lag")
    table = output.table("worker", *numbers, "heartbeat", "queues", "threads and processes", right=numbers)
    for worker in live:
        table.add_row(*_row(worker, now))
    output.show(table if live else "no workers; start one with `offload worker`")


async def _live_workers(offload: Backend) -> tuple[list[dict[str, Any]], int]:
    """Return the workers, and the time by Redis' clock, which times their heartbeats."""
    return await offload.inspector.workers(), await offload.inspector.clock_ms()


def _row(worker: dict[str, Any], now: int) -> list[str]:
    loop = worker.get("loop") or {}
    stopping = " [yellow]stopping[/yellow]" if worker.get("stopping") else ""
    return [
        escape(str(worker.get("id", "?"))) + stopping,
        f"{worker.get('running', '?')}/{worker.get('slots', '?')}",
        *(str(worker.get(count, "")) for count in ("succeeded", "failed", "retried")),
        f"{loop['busy']:.0%}" if "busy" in loop else "",
        output.seconds(loop.get("max_lag_ms")),
        f"{output.seconds(now - worker['beat'])} ago" if "beat" in worker else "",
        escape(", ".join(map(str, worker.get("queues") or ()))),
        escape("; ".join(_executor(executor) for executor in worker.get("executors") or ())),
    ]


def _executor(executor: dict[str, Any]) -> str:
    """Describe the threads or processes of one queue: `llm 2/2 threads, 3 waiting, 1 leaked`."""
    plural = "processes" if executor["kind"] == "process" else "threads"
    more = [f"{executor[name]} {name}" for name in ("waiting", "leaked") if executor[name]]
    return ", ".join([f"{executor['queue']} {executor['busy']}/{executor['size']} {plural}", *more])
