"""The names of keys: what the scripts build is what keys.py lists."""

import re
from pathlib import Path

import pytest

from offload.store import keys

LUA = Path(keys.__file__).parent / "lua"
SCRIPTS = sorted(LUA.rglob("*.lua"))
NAMES = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str) and ":" in value}
# Written by arq and read or removed by us through its own names, or a part of a name.
QUEUE_NAMES = {"arq:queue", "arq:queue:"}


def named(text):
    """Return the names of keys that a script has in quotes."""
    return set(re.findall(r"'((?:offload|arq):[^'%]*)", text))


@pytest.mark.parametrize("path", SCRIPTS, ids=[str(p.relative_to(LUA)) for p in SCRIPTS])
def test_a_script_uses_only_listed_names(path):
    """Every key that a script builds stands in keys.py."""
    unknown = named(path.read_text()) - NAMES - QUEUE_NAMES

    assert not unknown


def test_every_listed_name_is_used():
    """A name that neither a script nor a module uses is dead."""
    scripts = set().union(*(named(path.read_text()) for path in SCRIPTS))
    modules = "".join(p.read_text() for p in Path(keys.__file__).parent.rglob("*.py") if p.name != "keys.py")
    dead = {
        name
        for name, value in vars(keys).items()
        if isinstance(value, str) and value in NAMES and value not in scripts and f"keys.{name}" not in modules
    }

    assert not dead


def test_no_name_is_the_beginning_of_another_by_mistake():
    """A prefix ends in a colon, so that it cannot swallow a key that is not its own."""
    for one in NAMES:
        for other in NAMES - {one}:
            assert not other.startswith(one) or one.endswith(":"), f"{one} begins {other}"


def test_permanent_names_are_listed_ones():
    """The list of keys without a TTL names only what exists, each with who takes its members out."""
    assert set(keys.PERMANENT) <= NAMES | QUEUE_NAMES
    assert all(keys.PERMANENT.values())


def test_arqs_names_are_arqs():
    """Our own view of them cannot drift: they are imported."""
    assert (keys.ARQ_JOB, keys.ARQ_RESULT, keys.ARQ_IN_PROGRESS) == ("arq:job:", "arq:result:", "arq:in-progress:")
    assert (keys.ARQ_RETRY, keys.ARQ_ABORT) == ("arq:retry:", "arq:abort")


@pytest.mark.parametrize(
    ("queue", "key"),
    [("default", "arq:queue"), ("mail", "arq:queue:mail"), ("=my:own", "my:own"), ("a:b", "arq:queue:a:b")],
)
def test_a_queue_and_its_key_name_each_other(queue, key):
    """Both ways."""
    assert (keys.queue_key(queue), keys.queue_of(key)) == (key, queue)


@pytest.mark.parametrize("path", SCRIPTS, ids=[str(p.relative_to(LUA)) for p in SCRIPTS])
def test_a_script_is_small_and_says_what_it_does(path):
    """At most 60 lines, the first (after flags for Redis) a comment; nothing scans the keyspace."""
    lines = path.read_text().removeprefix("#!lua flags=allow-oom\n").splitlines()

    assert len(lines) <= 60
    assert lines[0].startswith("-- ")
    assert not re.search(r"'(KEYS|SCAN)'", path.read_text())
