"""`offload functions`: what the job modules offer. It needs no Redis."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from service.cli import documents, output, session
from service.domain.functions import JobFunction


def functions(
    name: Annotated[str | None, typer.Argument(metavar="[FUNCTION]", help="Show one, with its arguments.")] = None,
    as_json: output.Json = False,
) -> None:
    """List the job functions, or show one with the schema of its arguments."""
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
