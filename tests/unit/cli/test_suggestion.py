"""The command that the banner of `offload up` suggests."""

import pytest

from offload.cli.local.suggestion import suggest


def function(name, required=(), **properties):
    """The document of a job function, as far as it matters."""
    return {"name": name, "arguments": {"properties": properties, "required": list(required)}}


NUMBER, TEXT = {"type": "number"}, {"type": "string"}
NOTHING = function("acme.tidy")
ONE = function("acme.total", ["order"], order=NUMBER, currency=TEXT)
TWO = function("acme.add", ["a", "b"], a=NUMBER, b={"type": "boolean"})
MODEL = function("acme.invoice", ["order"], order={"$ref": "#/$defs/Order"})
CALLBACK = function("webhook.callback", ["url"], url=TEXT)


@pytest.mark.parametrize(
    ("functions", "command"),
    [
        ([TWO, NOTHING, ONE, MODEL, CALLBACK], "offload enqueue acme.total order=2 --wait"),
        ([TWO, NOTHING, MODEL, CALLBACK], "offload enqueue acme.tidy --wait"),
        ([TWO, MODEL, CALLBACK], "offload enqueue acme.add a=2 b=true --wait"),
        ([MODEL, CALLBACK], "offload functions acme.invoice"),
        ([CALLBACK], "offload functions"),
        ([], "offload functions"),
    ],
)
def test_the_suggested_function_is_loaded_and_needs_little(functions, command):
    """One simple argument shows most; a function with arguments that nobody can guess is shown instead."""
    assert suggest(functions) == command


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        (TEXT, "x=hello"),
        ({"type": "string", "enum": ["it is"]}, "'x=it is'"),
        ({"type": "string", "format": "email", "examples": ["a@b.c"]}, "x=a@b.c"),
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 3}, "x=2"),
    ],
)
def test_an_example_is_one_that_the_schema_takes(schema, word):
    """Its own examples come first."""
    assert suggest([function("f", ["x"], x=schema)]) == f"offload enqueue f {word} --wait"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "uri"},
        {"type": "string", "writeOnly": True},
        {"type": "string", "maxLength": 3},
        {"type": "integer", "minimum": 3},
        {"type": "number", "exclusiveMaximum": 2},
        {"type": "array"},
        {"anyOf": [TEXT, NUMBER]},
    ],
)
def test_an_argument_without_an_obvious_example_is_not_guessed(schema):
    """The suggestion then shows the arguments."""
    assert suggest([function("f", ["x"], x=schema)]) == "offload functions f"
