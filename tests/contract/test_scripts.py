"""The Lua scripts and the table of their arguments agree, name by name."""

import re

import pytest

from offload.store.connection import script_arguments, scripts
from offload.store.connection.script_arguments import ITEMS, NAMED, in_order, numbered

POSITIONAL = {"beat"}  # reads its arguments by number


def as_written(script):
    """Return a script with its parts, before names are replaced, without comments."""
    text = scripts._read(scripts._LUA / f"{script}.lua")
    return "\n".join(line.partition("--")[0] for line in text.splitlines())


def test_every_script_is_in_the_table():
    """No script is without a row, and no row without a script."""
    assert set(NAMED) == {path.stem for path in scripts._LUA.glob("*.lua")}
    assert set(ITEMS) <= set(NAMED)


@pytest.mark.parametrize("script", sorted(set(NAMED) - POSITIONAL))
def test_a_script_reads_the_arguments_of_the_table(script):
    """It uses each name of its row, and none that is not there."""
    text = as_written(script)
    of_items = {(kind, name) for kind, _, name in script_arguments._OF_ITEM.findall(text)}

    assert set(script_arguments._ARGUMENT.findall(text)) == set(NAMED[script])
    assert of_items == {(kind, name) for kind, names in ITEMS.get(script, {}).items() for name in names}


@pytest.mark.parametrize("script", sorted(set(NAMED) - POSITIONAL))
def test_a_script_has_no_argument_by_number(script):
    """Only names and loop variables stand in the brackets of ARGV."""
    assert not re.search(r"ARGV\[\d", as_written(script))
    assert not re.search(r"ARGV\[\w+ \+ \d", as_written(script))


def test_names_become_numbers_when_a_script_is_loaded():
    """A name costs nothing at run time: Redis gets the index of its argument."""
    text = "local w = ARGV.worker\nfor i = FIRST, #ARGV, SIZE(END) do x(END(i).id, END(i).verb) end"

    assert numbered("finish", text) == "local w = ARGV[2]\nfor i = 3, #ARGV, 13 do x(ARGV[i + 0], ARGV[i + 2]) end"
    assert "ARGV.worker" not in scripts.source("finish")


@pytest.mark.parametrize("named", [{"now": 0}, {"now": 0, "workers": "w"}, {"now": 0, "worker": "w", "more": 1}])
def test_a_call_with_a_wrong_name_is_refused(named):
    """A missing or unknown argument is a TypeError that shows what the script takes."""
    with pytest.raises(TypeError, match=r"finish\.lua takes now, worker"):
        in_order("finish", named)
