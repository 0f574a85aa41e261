"""The command that the banner of `offload up` suggests: it enqueues a function that is really loaded."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

# They need more than arguments: a command that is set, a job that has ended.
_NOT_TO_TRY = frozenset({"llm.complete", "webhook.callback"})
_TEXT = "hello"
_NUMBER = 2
_PRECISE = frozenset({"format", "pattern", "writeOnly", "contentEncoding", "multipleOf", "const"})


def suggest(functions: Iterable[Mapping[str, Any]]) -> str:
    """Return a command to try, from the documents of the loaded functions.

    It enqueues one with a single simple argument, else one without any, else one with several simple ones; if all need
    more, it shows the first function and its arguments.
    """
    loaded = sorted((one for one in functions if one["name"] not in _NOT_TO_TRY), key=lambda one: str(one["name"]))
    examples = [(str(one["name"]), _arguments(one["arguments"])) for one in loaded]
    simple = [(name, words) for name, words in examples if words is not None]
    if simple:
        name, words = min(simple, key=lambda example: (len(example[1]) != 1, len(example[1])))
        return shlex.join(["offload", "enqueue", name, *words, "--wait"])
    return f"offload functions {examples[0][0]}" if examples else "offload functions"


def _arguments(schema: Mapping[str, Any]) -> list[str] | None:
    """Return the required arguments as words of a shell; None if one of them has no obvious example.

    A function that has optional arguments only, of which it may need one, has none either.
    """
    required, properties = schema.get("required", ()), schema.get("properties", {})
    if properties and not required:
        return None
    values = {name: _example(properties[name]) for name in required}
    if None in values.values():
        return None
    return [f"{name}={value}" for name, value in values.items()]


def _example(schema: Mapping[str, Any]) -> str | None:
    for known in (*schema.get("examples", ()), *schema.get("enum", ())):
        return known if isinstance(known, str) else None
    if _PRECISE & schema.keys():
        return None
    match schema.get("type"):
        case "boolean":
            return "true"
        case "string":
            return _TEXT if schema.get("minLength", 0) <= len(_TEXT) <= schema.get("maxLength", len(_TEXT)) else None
        case "integer" | "number":
            return str(_NUMBER) if _is_within(schema) else None
    return None


def _is_within(schema: Mapping[str, Any]) -> bool:
    is_in = schema.get("minimum", _NUMBER) <= _NUMBER <= schema.get("maximum", _NUMBER)
    is_between = schema.get("exclusiveMinimum", _NUMBER - 1) < _NUMBER < schema.get("exclusiveMaximum", _NUMBER + 1)
    return bool(is_in and is_between)
