"""`offload functions`: lists the loaded job functions, and moves one between thread and process."""

import asyncio
import contextlib
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from offload.cli import documents, output, session
from offload.documents.functions import MovableTo
from offload.domain.callbacks import FUNCTION as CALLBACK
from offload.domain.catalogue import Catalogue
from offload.domain.errors import InvalidOptions, Unavailable
from offload.domain.functions import JobFunction
from offload.settings import Settings
from offload.wiring import Backend

_REDIS_LIMIT = 3.0


class RunsIn(StrEnum):
    """The places where a `def` job function can run."""

    THREAD = "thread"
    PROCESS = "process"
    DEFAULT = "default"


def functions(
    name: Annotated[
        str | None, typer.Argument(metavar="FUNCTION", help="Show one function with its argument schema.")
    ] = None,
    runs_in: Annotated[
        RunsIn | None,
        typer.Option(help="Run it there from its next start, on all workers; `default`: as its code declares."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """List job functions, or show one with its argument schema.

    With --runs-in, move a `def` function to threads or processes without a deployment, also over restarts.
    """
    if runs_in is not None:
        if name is None:
            raise InvalidOptions("--runs-in needs a function: offload functions FUNCTION --runs-in …")
        _move(name, runs_in, as_json=as_json)
        return
    settings = session.settings()
    catalogue = session.load_jobs(settings)
    if name is not None:
        function = catalogue.function(name)
        if as_json:
            observed = asyncio.run(_observed(settings, catalogue))
            output.print_json(documents.function(function, settings, observed))
        else:
            output.show(_view(function))
        return
    ordered = [catalogue.functions[key] for key in sorted(catalogue.functions)]
    if as_json:
        observed = asyncio.run(_observed(settings, catalogue))
        items = [documents.function(function, settings, observed) for function in ordered]
        output.print_json({"items": items, "next": None})
        return
    table = output.table("function", "queue", "runs in", "arguments", "description")
    for one in ordered:
        table.add_row(one.name, one.queue, one.runs_in, _signature(one), f"[dim]{escape(_summary(one))}[/dim]")
    output.show(table)
    output.show(f"[dim]{escape(str(session.job_modules(settings)))}[/dim]")


async def _observed(settings: Settings, catalogue: Catalogue) -> documents.Observed | None:
    """Return what Redis knows of the functions; None without a Redis that answers soon."""
    with contextlib.suppress(Unavailable, TimeoutError):
        connectable = session.with_redis(settings)
        if "redis_url" in connectable.model_fields_set:
            async with asyncio.timeout(_REDIS_LIMIT), session.connected(connectable, catalogue) as offload:
                return await documents.Observed.read(offload)
    return None


def _move(name: str, runs_in: RunsIn, *, as_json: bool) -> None:
    place: MovableTo | None = None if runs_in is RunsIn.DEFAULT else "thread" if runs_in is RunsIn.THREAD else "process"

    async def work(offload: Backend) -> Any:
        changed = await offload.operations.move_function(name, place, session.actor())
        await offload.operations.audit(session.actor(), "function.override", name, runs_in=place, changed=changed)
        observed = await documents.Observed.read(offload)
        return documents.function(offload.catalogue.function(name), session.settings(), observed)

    document = session.run(work)
    if as_json:
        output.print_json(document)
    else:
        by = document["override"] and f", moved by {document['override']['by']}"
        print(f"{name} runs in a {document['runs_in']}{by or ''}")


def _view(function: JobFunction[Any, Any]) -> str:
    policy = {"timeout": function.timeout, "max tries": function.max_tries, "keep result": function.keep_result}
    limits = ", ".join(f"{key} {value:g}" for key, value in policy.items() if value is not None)
    return "\n".join(
        [
            f"[bold]{function.name}[/bold]  runs in {_place(function)}, queue {function.queue}"
            + (limits and f", {limits}"),
            f"\n{escape(function.description)}" if function.description else "",
            "\n[bold]arguments[/bold]",
            escape(documents.pretty(function.arguments.schema)),
        ]
    )


def _place(function: JobFunction[Any, Any]) -> str:
    return {"loop": "the event loop", "thread": "a thread", "process": "a process"}[function.runs_in]


def _signature(function: JobFunction[Any, Any]) -> str:
    """Name the arguments; optional ones are in brackets."""
    required = set(function.arguments.schema.get("required", ()))
    return " ".join(escape(name if name in required else f"[{name}]") for name in function.arguments.names) or "-"


def _summary(function: JobFunction[Any, Any]) -> str:
    built_in = "built in: " if function.name == CALLBACK else ""
    return built_in + function.description.partition("\n")[0]
