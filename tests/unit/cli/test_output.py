"""How commands print."""

import json

import pytest

from offload.cli import output


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (None, ""),
        (0, "0 ms"),
        (12.4, "12 ms"),
        (999, "999 ms"),
        (1500, "1.5 s"),
        (61_000, "61 s"),
        (150_000, "2.5 min"),
        (9_000_000, "2.5 h"),
        (180_000_000, "2.08 d"),
    ],
)
def test_a_duration_has_the_unit_that_fits(ms, said):
    """Durations have the unit that a person would use, from milliseconds to days."""
    assert output.seconds(ms) == said


def test_json_is_one_line_for_a_program(capsys):
    """Without a terminal JSON is one line, whatever it holds."""
    output.print_json({"a": [1, None], 2: "ä"})
    said = capsys.readouterr().out

    assert said.count("\n") == 1
    assert json.loads(said) == {"a": [1, None], "2": "ä"}


def test_a_table_without_a_terminal_is_plain(capsys):
    """Without a terminal nothing is cut, coloured or padded at the end of a line."""
    table = output.table("name", "what")
    table.add_row("[red]x[/red]", "y" * 300)
    output.show(table)
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split() == ["name", "what"]
    assert lines[1].split() == ["x", "y" * 300]
    assert all(line == line.rstrip() for line in lines)
