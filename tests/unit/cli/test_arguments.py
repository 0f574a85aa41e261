"""From words of a shell to arguments."""

import io

import pytest

from offload.cli.arguments import read_arguments, time_ms
from offload.cli.commands.enqueue import with_wait_filled
from offload.domain.errors import InvalidOptions

TEXT = {"properties": {"name": {"type": "string"}, "zip": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a=1", 1),
        ("a=1.5", 1.5),
        ("a=true", True),
        ("a=null", None),
        ("a=[1, 2]", [1, 2]),
        ('a={"b": 1}', {"b": 1}),
        ("a=hello", "hello"),
        ('a="1"', "1"),
        ("a=", ""),
        ("a=b=c", "b=c"),
        ("a=NaN", "NaN"),
        ("a=-Infinity", "-Infinity"),
    ],
)
def test_a_value_is_json_or_else_text(word, value):
    """The value of key=value is read as JSON; what is no JSON is a string."""
    assert read_arguments([word], None, {}) == {"a": value}


def test_an_argument_that_is_text_stays_text():
    """A number stays text if the function takes only a string for this argument."""
    assert read_arguments(["name=007", "zip=10115"], None, TEXT) == {"name": "007", "zip": 10115}


def test_quotes_around_text_are_json():
    """A quoted value means the same for an argument that is text as for any other."""
    assert read_arguments(['name="x"'], None, TEXT) == {"name": "x"}


def test_all_arguments_can_come_as_one_object(tmp_path, monkeypatch):
    """--args, @file and - each give the whole object."""
    (tmp_path / "args.json").write_text('{"a": 1}')
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}'))

    assert read_arguments([], '{"a": 1}', {}) == {"a": 1}
    assert read_arguments([f"@{tmp_path}/args.json"], None, {}) == {"a": 1}
    assert read_arguments(["-"], None, {}) == {"a": 1}


@pytest.mark.parametrize(
    ("words", "whole", "said"),
    [
        (["a"], None, "'a' is not key=value"),
        (["=1"], None, "'=1' is not key=value"),
        (["a=1", "a=2"], None, "'a' is given twice"),
        (["a=1"], "{}", "either --args or 'a=1'"),
        ([], "[1]", "--args must be one JSON object"),
        ([], "{", "--args is not JSON"),
        (["@/no/such/file"], None, "cannot read '/no/such/file': No such file"),
        (["-", "a=1"], None, "'-' is not key=value"),
    ],
)
def test_what_cannot_be_read_is_named(words, whole, said):
    """Words that are no arguments are refused with the word and what would be right."""
    with pytest.raises(InvalidOptions, match=said):
        read_arguments(words, whole, {})


def test_a_time_without_a_zone_is_utc():
    """--run-at takes RFC 3339; without a zone it means UTC."""
    assert (
        time_ms("--run-at", "2026-12-24T18:00:00Z") == time_ms("--run-at", "2026-12-24T18:00:00") == 1_798_135_200_000
    )
    assert time_ms("--run-at", "2026-12-24T19:00:00+01:00") == 1_798_135_200_000
    assert time_ms("--run-at", None) is None
    with pytest.raises(InvalidOptions, match="--run-at: invalid time 'soon'; expected a form like 2026"):
        time_ms("--run-at", "soon")


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (["enqueue", "f", "--wait"], ["enqueue", "f", "--wait=inf"]),
        (["enqueue", "f", "--wait", "3"], ["enqueue", "f", "--wait=3"]),
        (["enqueue", "--wait", "f", "a=1"], ["enqueue", "--wait=inf", "f", "a=1"]),
        (["enqueue", "f", "--wait=2"], ["enqueue", "f", "--wait=2"]),
        (["enqueue", "f", "--", "--wait"], ["enqueue", "f", "--", "--wait"]),
    ],
)
def test_wait_takes_seconds_or_nothing(given, filled):
    """`--wait` alone means without limit, and leaves the next word alone unless it is a number."""
    assert with_wait_filled(given) == filled
