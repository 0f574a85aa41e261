"""Writes `cli.md`, `jobs.md` and `sdk.md` beside this file from the commands, the shipped job functions and the SDK.

Run it as `python docs/reference/generate.py`; a test fails while a page is not what the code says.
"""

import inspect
import re
from pathlib import Path
from typing import Any, get_args

from typer.main import get_command

from offload.cli.main import app
from offload.domain.catalogue import Catalogue
from offload.domain.functions import JobFunction
from offload.loader import load
from offload.sdk import Event, Filter, NewJob, Offload, Options, errors
from offload.sdk.effects import Emit
from offload.sdk.calls import Calls

HERE = Path(__file__).parent
WRITTEN = "<!-- Written by `python docs/reference/generate.py`; change the code instead. -->"


def cli() -> str:
    """Return the page of the command line."""
    root: Any = get_command(app)
    parts = [
        "# Command line",
        WRITTEN,
        "`offload`, or `python -m offload` where it is not on PATH. Settings come from the environment and `.env`, see [settings](settings.md); flags win.",
        "If `OFFLOAD_REDIS_URL` is not set, commands use the Redis of an `offload up` that runs on the same data directory; if `OFFLOAD_JOBS` is not set, they load its job modules.",
        "`--json` prints the documents that the HTTP API answers with.",
        "## Exit codes",
        "| code | meaning |\n|---|---|\n"
        "| 0 | done |\n"
        "| 1 | the job is dead or aborted, or did not finish in time; the demo or the doctor found a problem; with `--fail-on-stall`, something blocked an event loop |\n"
        "| 2 | invalid call: usage, arguments, options, no such job, a state that does not allow it |\n"
        "| 3 | the command cannot work now: Redis unavailable, port in use, invalid setting, a job module that does not import |\n"
        "| 70 | internal error of Offload |\n"
        "| 130 | stopped by Ctrl-C |",
        *_commands(root, "offload"),
    ]
    return "\n\n".join(parts) + "\n"


def _commands(group: Any, path: str) -> list[str]:
    parts: list[str] = []
    for name, command in group.commands.items():
        whole = f"{path} {name}"
        if hasattr(command, "commands"):
            parts += _commands(command, whole)
            continue
        rows = [row for row in map(_parameter, command.params) if row]
        parts += [f"## {whole}", (command.help or "").strip()]
        if rows:
            parts.append("| argument or option | what it does |\n|---|---|\n" + "\n".join(rows))
    return parts


def _parameter(one: Any) -> str:
    if getattr(one, "hidden", False) or one.name == "help":
        return ""
    if one.param_type_name == "argument":
        shown = one.metavar or one.name.upper()
    else:
        metavar = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
        shown = max(one.opts, key=len) + metavar
    default = one.show_default if isinstance(one.show_default, str) else one.default
    about = (one.help or "") + (f" Default: {default}." if default not in (None, False, (), []) and not callable(default) else "")
    return f"| `{shown}` | {about} |".replace("`KEY=VALUE | @FILE | -`", "`KEY=VALUE …`, `@FILE` or `-`")


def jobs(catalogue: Catalogue) -> str:
    """Return the page of the shipped job functions."""
    parts = [
        "# Shipped job functions",
        WRITTEN,
        "Enqueue one over HTTP, `POST /v1/functions/<name>/jobs` with the arguments as one JSON object; in a shell, `offload enqueue <name> key=value …`; from a job, `ctx.enqueue(\"<name>\", …)`.",
        "`offload functions <name>` prints the whole JSON schema of its arguments, and `/docs` of a running service shows it with those of nested objects.",
        "Where *timeout*, *tries* or *result kept* say nothing, the worker's settings hold.",
    ]
    for name in sorted(catalogue.functions):
        parts += _function(catalogue.functions[name])
    rows = [f"| `{s.name}` | `{s.function}` | {s.describe()} |" for _, s in sorted(catalogue.schedules.items())]
    limits = [
        f"| `{q.name}` | {q.max_running or ''} | {q.rate or ''} |" for _, q in sorted(catalogue.queues.items())
    ]
    parts += ["## Schedules", "| schedule | function | when |\n|---|---|---|\n" + "\n".join(rows)]
    parts += ["## Queues with limits", "| queue | running at once | rate |\n|---|---|---|\n" + "\n".join(limits)]
    return "\n\n".join(parts) + "\n"


def _function(one: JobFunction[Any, Any]) -> list[str]:
    places = {"loop": "the event loop", "thread": "a thread", "process": "a process"}
    policy = {"timeout": one.timeout, "tries": one.max_tries, "result kept": one.keep_result}
    units = {"timeout": " s", "result kept": " s", "tries": ""}
    said = "".join(f" · {key} {value:g}{units[key]}" for key, value in policy.items() if value is not None)
    schema = one.arguments.schema
    definitions = schema.get("$defs", {})
    parts = [f"## {one.name}", one.description, f"Runs in {places[one.runs_in]} · queue `{one.queue}`{said}"]
    if schema.get("properties"):
        parts.append(_table(schema, definitions))
    for name, definition in definitions.items():
        if definition.get("properties"):
            parts += [f"`{name}`:", _table(definition, definitions)]
    return parts


def _table(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = []
    for name, shape in schema["properties"].items():
        default = "required" if name in required else f"`{_json(shape.get('default'))}`" if "default" in shape else ""
        rows.append(f"| `{name}` | {_type(shape)} | {default} |")
    return "| argument | type | default |\n|---|---|---|\n" + "\n".join(rows)


def _type(shape: dict[str, Any]) -> str:
    if "$ref" in shape:
        return f"`{shape['$ref'].rpartition('/')[2]}`"
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(_type(part) for part in shape["anyOf"]))
    if "enum" in shape:
        return ", ".join(f"`{value}`" for value in shape["enum"])
    kind = shape.get("type", "anything")
    if kind == "array":
        return f"list of {_type(shape.get('items', {}))}" + _bounds(shape, "minItems", "maxItems")
    if kind == "object":
        return "object"
    secret = "secret " if shape.get("format") == "password" else ""
    return secret + kind + _bounds(shape, *(("minLength", "maxLength") if kind == "string" else ("minimum", "maximum")))


def _bounds(shape: dict[str, Any], least: str, most: str) -> str:
    least, most = shape.get(least, shape.get("exclusiveMinimum")), shape.get(most)
    if least is None and most is None:
        return ""
    above = "more than " if "exclusiveMinimum" in shape else ""
    if most is None:
        return f" ({above or 'from '}{least:,})"
    return f" (up to {most:,})" if least in (None, 0) and not above else f" ({above}{least:,} to {most:,})"


def _json(value: Any) -> str:
    return {None: "null", True: "true", False: "false"}.get(value, str(value)) if not isinstance(value, list | dict) else str(value)


def sdk() -> str:
    """Return the page of the clients of the HTTP API."""
    calls = [name for name in vars(Offload) if name in dir(Calls) and not name.startswith("_")]
    tree = (errors.__doc__ or "").partition("\n\n")[2].strip()
    parts = [
        "# Clients for other programs",
        WRITTEN,
        "`from offload.sdk import Offload, OffloadSync`: the same calls, awaited or blocking. [Call the API from another program](../how-to/call-the-api.md) shows how they are used.",
        f"`Offload{inspect.signature(Offload)}`".replace(" -> None", ""),
        inspect.getdoc(Offload) or "",
        "## Calls",
        *[part for name in calls for part in _call(name, getattr(Calls, name))],
        "## What goes in",
        *[part for shape in (Options, NewJob, Filter) for part in _shape(shape)],
        "## What comes out",
        "Dictionaries, as the API sends them; `/docs` of a running service shows each member. Times are RFC 3339 in UTC. Their types can be imported from `offload.sdk`, as `JobDocument`.",
        *_shape(Event),
        "## Errors",
        f"```text\n{tree}\n```",
        inspect.getdoc(errors.OffloadAPIError) or "",
    ]
    return "\n\n".join(parts) + "\n"


def _call(name: str, plan: Any) -> list[str]:
    signature = inspect.signature(plan)
    taken = [str(one.replace(annotation=inspect.Parameter.empty)) for one in list(signature.parameters.values())[1:]]
    kinds = [one.kind for one in list(signature.parameters.values())[1:]]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        taken.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    yielded, _, returned = get_args(signature.return_annotation)
    emitted = [get_args(part)[0] for part in get_args(yielded) if part is Emit or getattr(part, "__origin__", None) is Emit]
    gives = f"iterates over `{_name(emitted[0])}`" if emitted else "" if returned is type(None) else f"returns `{_name(returned)}`"
    return [f"### {name}", f"`{name}({', '.join(taken)})`" + (f" {gives}" if gives else ""), inspect.getdoc(plan) or ""]


def _shape(shape: Any) -> list[str]:
    return [f"### {shape.__name__}", inspect.getdoc(shape) or "", ", ".join(f"`{name}`" for name in shape.__annotations__)]


def _name(one: Any) -> str:
    return re.sub(r"(typing|offload\.[\w.]+)\.(?=\w)", "", str(one)) if get_args(one) else one.__name__


if __name__ == "__main__":
    (HERE / "cli.md").write_text(cli(), encoding="utf-8")
    (HERE / "jobs.md").write_text(jobs(load(["offload.jobs"])), encoding="utf-8")
    (HERE / "sdk.md").write_text(sdk(), encoding="utf-8")
