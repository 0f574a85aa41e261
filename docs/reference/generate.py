"""Writes `cli.md` and `jobs.md` beside this file from the commands and from the shipped job functions.

Run it as `python docs/reference/generate.py`; a test fails while a page is not what the code says.
"""

from pathlib import Path
from typing import Any

from typer.main import get_command

from service.cli.commands import app
from service.domain.catalogue import Catalogue
from service.domain.functions import JobFunction
from service.loader import load

HERE = Path(__file__).parent
WRITTEN = "<!-- Written by `python docs/reference/generate.py`; change the code instead. -->"


def cli() -> str:
    """Return the page of the command line."""
    root: Any = get_command(app)
    parts = [
        "# Command line",
        WRITTEN,
        "`offload`, or `python -m service` where it is not on PATH. Settings come from the environment and `.env`, see [settings](settings.md); flags win.",
        "Where no `OFFLOAD_REDIS_URL` is set, commands find the Redis of an `offload up` that runs on the same data directory.",
        "`--json` prints the documents that the HTTP API answers with.",
        "## Exit codes",
        "| code | meaning |\n|---|---|\n"
        "| 0 | done |\n"
        "| 1 | the job is dead or aborted, or was not done in time; the demo found something wrong |\n"
        "| 2 | the call was wrong: usage, arguments, options, no such job, a state that does not allow it |\n"
        "| 3 | it cannot work here and now: Redis away, port taken, bad setting, a job module that does not import |\n"
        "| 70 | a fault of Offload's own |\n"
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
    return f"| `{shown}` | {(one.help or '').replace('  [', ' [')} |".replace("`[KEY=VALUE]... | @FILE | -`", "`KEY=VALUE …`, `@FILE` or `-`")


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


if __name__ == "__main__":
    (HERE / "cli.md").write_text(cli(), encoding="utf-8")
    (HERE / "jobs.md").write_text(jobs(load(["jobs"])), encoding="utf-8")
