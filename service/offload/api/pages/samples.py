"""A value that fits a JSON schema, for an example to copy."""

from typing import Any

_DEEPEST = 8  # schemas may contain themselves
_PLAIN: dict[Any, Any] = {"string": "text", "number": 1.5, "boolean": True, "null": None}

Schema = dict[str, Any]


def sample(schema: Schema) -> Any:
    """Return the schema's own example or default, else a value of its type, with the required members alone."""
    return _sample(schema, schema.get("$defs", {}), 0)


def _sample(schema: Schema, definitions: Schema, depth: int) -> Any:
    if stated := _stated(schema):
        return stated[0]
    if inner := _inner(schema, definitions):
        return _sample(inner, definitions, depth + 1) if depth < _DEEPEST else None
    return _of_type(schema, definitions, depth)


def _of_type(schema: Schema, definitions: Schema, depth: int) -> Any:
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {name: _sample(members[name], definitions, depth + 1) for name in schema.get("required", ())}
        case "array":
            return [_sample(schema.get("items", {}), definitions, depth + 1)] * schema.get("minItems", 1)
        case "integer":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case kind:
            return _PLAIN.get(kind, "text")


def _stated(schema: Schema) -> list[Any]:
    """Return the values that a schema names itself, the best example first."""
    single = [schema[name] for name in ("const", "default") if name in schema]
    return [*schema.get("examples", ()), *schema.get("enum", ()), *single]


def _inner(schema: Schema, definitions: Schema) -> Schema | None:
    """Return the schema to use for this one: the one it refers to, or the first of several."""
    if reference := schema.get("$ref"):
        referred: Schema = definitions.get(reference.rpartition("/")[2], {})
        return referred
    return next((schema[name][0] for name in ("anyOf", "oneOf", "allOf") if schema.get(name)), None)
