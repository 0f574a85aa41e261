"""Parameters in OpenAPI as they are over HTTP, where FastAPI describes them as Python sees them.

An optional parameter is left out, it is never null; a client generated from the document, or a tool that tests by it,
would send the word.
"""

from typing import Any

Document = dict[str, Any]


def never_null(paths: Document) -> Document:
    """Return the paths with no parameter of which null is a value."""
    return {path: {method: _operation(about) for method, about in item.items()} for path, item in paths.items()}


def _operation(about: Document) -> Document:
    if "parameters" not in about:
        return about
    return {**about, "parameters": [_parameter(one) for one in about["parameters"]]}


def _parameter(one: Document) -> Document:
    """Take `null` out of the schema of a parameter, and the default that says it."""
    schema = one.get("schema", {})
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) == len(schema.get("anyOf", ())):
        return one
    rest = {key: value for key, value in schema.items() if key != "anyOf" and not (key == "default" and value is None)}
    return {**one, "schema": {**rest, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}}
