"""The lifeline: a process stops when the one that started it is gone, however it went."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from offload import lifeline
from offload.lifeline import Lifeline
from offload.settings import SettingsError

CHILD = """
    import os, signal, sys, threading
    from offload import lifeline

    def on_term(*_):
        print("told to stop", flush=True)
        if {obeys}:
            sys.exit(7)

    signal.signal(signal.SIGTERM, on_term)
    lifeline.watch(int(os.environ["OFFLOAD_LIFELINE_FD"]), grace=0.2)
    print("watching", flush=True)
    while True:
        threading.Event().wait(60)
"""


def spawn_child(line, *, obeys):
    """Start a child on the line and return it once it watches."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD).format(obeys=obeys)],
        env={**os.environ, **line.env},
        pass_fds=line.pass_fds,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "watching\n"
    return child


def test_a_child_is_told_to_stop_when_the_line_is_cut():
    """A child gets SIGTERM, and can stop in its own way, when the holder lets go of the line."""
    with Lifeline.create() as line:
        child = spawn_child(line, obeys=True)
    said = child.communicate(timeout=10)[0]

    assert said == "told to stop\n"
    assert child.returncode == 7


def test_a_child_that_does_not_stop_is_killed():
    """A child that ignores SIGTERM is gone after the grace."""
    with Lifeline.create() as line:
        child = spawn_child(line, obeys=False)
    said = child.communicate(timeout=10)[0]

    assert said == "told to stop\n"
    assert child.returncode == -signal.SIGKILL


def test_a_child_stops_when_its_parent_is_killed():
    """SIGKILL of the holder, which lets it run no code, cuts the line as well."""
    holder = textwrap.dedent("""
        import os, subprocess, sys
        from offload.lifeline import Lifeline

        line = Lifeline.create()
        child = subprocess.Popen(
            [sys.executable, "-c", sys.argv[1]], env={**os.environ, **line.env}, pass_fds=line.pass_fds
        )
        child.wait()
    """)
    child = textwrap.dedent(CHILD).format(obeys=True)
    process = subprocess.Popen([sys.executable, "-c", holder, child], stdout=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    process.kill()
    said = process.communicate(timeout=10)[0]  # Returns when the child, which holds the same stdout, is gone too.

    assert first == "watching\n"
    assert said == "told to stop\n"


def test_the_write_end_is_not_inherited():
    """Only the holder holds the line: a child cannot keep it from being cut."""
    with Lifeline.create() as line:
        assert not os.get_inheritable(line._write_end)


def test_closing_twice_is_harmless():
    """`close` may be called again."""
    line = Lifeline.create()
    line.close()
    line.close()

    assert line._write_end is None


def test_a_number_that_is_no_pipe_is_refused():
    """A stray OFFLOAD_LIFELINE_FD is named as the fault, and nothing is killed by it."""
    with Path(os.devnull).open() as file, pytest.raises(SettingsError, match=r"_FD: \d+ is not an open pipe"):
        lifeline.watch(file.fileno(), 1)
