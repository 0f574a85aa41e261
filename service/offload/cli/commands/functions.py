"""`offload functions`: what the job modules offer, which needs no Redis, and moving one between thread and process."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from offload.cli import documents, output, session
from offload.cli.identity import who
from offload.documents.functions import MovableTo
from offload.domain.errors import InvalidOptions
from offload.domain.functions import JobFunction
from offload.wiring import Backend


class RunsIn(StrEnum):
    """Where a `def` job function may be told to run."""

    THREAD = "thread"
    PROCESS = "process"
    DEFAULT = "default"


def functions(
    name: Annotated[str | None, typer.Argument(metavar="[FUNCTION]", help="Show one, with its arguments.")] = None,
    runs_in: Annotated[
        RunsIn | None,
        typer.Option(
            help="Have it run there from its next start on, over the whole fleet; `default`: where its code says."
        ),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """List the job functions as their code says, or show one with the schema of its arguments.

    With `--runs-in`, move a `def` function without a deployment; that holds over restarts.
    """
    if runs_in is not None:
        if name is None:
            raise InvalidOptions("--runs-in needs the function that it is for: offload functions FUNCTION --runs-in …")
        _move(name, runs_in, as_json=as_json)
        return
    settings = session.settings()
    catalogue = session.load_jobs(settings)
    if name is not None:
        found = catalogue.function(name)
        if as_json:
            output.print_json(documents.function(found, settings))
        else:
            output.show(_view(found))
        return
    ordered = [catalogue.functions[key] for key in sorted(catalogue.functions)]
    if as_json:
        output.print_json({"items": [documents.function(one, settings) for one in ordered], "next": None})
        return
    table = output.table("function", "queue", "runs in", "arguments", "what it does")
    for one in ordered:
        table.add_row(one.name, one.queue, one.runs_in, _signature(one), f"[dim]{escape(_summary(one))}[/dim]")
    output.show(table if ordered else "no job functions in the modules of OFFLOAD_JOBS")


def _move(name: str, runs_in: RunsIn, *, as_json: bool) -> None:
    place: MovableTo | None = None if runs_in is RunsIn.DEFAULT else "thread" if runs_in is RunsIn.THREAD else "process"

    async def work(offload: Backend) -> Any:
        changed = await offload.operations.move_function(name, place, who())
        await offload.operations.audit(who(), "function.override", name, runs_in=place, changed=changed)
        moved = (await offload.inspector.overrides()).get(name)
        return documents.moved(offload.catalogue.function(name), session.settings(), moved)

    document = session.run(work)
    if as_json:
        output.print_json(document)
    else:
        by = document["override"] and f", moved by {document['override']['by']}"
        print(f"{name} runs in a {document['runs_in']}{by or ''}")


def _view(function: JobFunction[Any, Any]) -> str:
    policy = {"timeout": function.timeout, "max tries": function.max_tries, "keep result": function.keep_result}
    said = ", ".join(f"{key} {value:g}" for key, value in policy.items() if value is not None)
    return "\n".join(
        [
            f"[bold]{function.name}[/bold]  runs in {_place(function)}, queue {function.queue}"
            + (said and f", {said}"),
            f"\n{escape(function.description)}" if function.description else "",
            "\n[bold]arguments[/bold]",
            escape(documents.pretty(function.arguments.schema)),
        ]
    )


def _place(function: JobFunction[Any, Any]) -> str:
    return {"loop": "the event loop", "thread": "a thread", "process": "a process"}[function.runs_in]


def _signature(function: JobFunction[Any, Any]) -> str:
    """Name the arguments; those that may be left out stand in brackets."""
    required = set(function.arguments.schema.get("required", ()))
    return " ".join(escape(name if name in required else f"[{name}]") for name in function.arguments.names) or "-"


def _summary(function: JobFunction[Any, Any]) -> str:
    return function.description.partition("\n")[0]
