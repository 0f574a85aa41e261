"""Queues and their limits as values."""

import pytest

from offload.domain.errors import InvalidDefinition
from offload.domain.queues import Queue, check_queue_name, parse_rate


@pytest.mark.parametrize(
    ("rate", "parsed"),
    [("10/s", (10, 1000)), ("100/m", (100, 60_000)), ("5/30s", (5, 30_000)), ("1/d", (1, 86_400_000))],
)
def test_a_rate_is_a_count_and_a_window(rate, parsed):
    """A rate reads as so many in a window, which has a number of its own or is one unit."""
    assert parse_rate(rate) == parsed


@pytest.mark.parametrize("rate", ["", "10", "0/s", "5/0s", "-1/s", "10/w", "10 / s", "1.5/s", "10/s\n"])
def test_a_rate_that_is_none_is_refused(rate):
    """The error shows what would have been right."""
    with pytest.raises(InvalidDefinition, match="10/s"):
        parse_rate(rate)


@pytest.mark.parametrize("name", ["mail", "a", "A-1_b.c:d", "9", "x" * 100])
def test_a_queue_name(name):
    """Letters, digits and a few signs make a name."""
    assert check_queue_name(name) == name


@pytest.mark.parametrize("name", ["", " ", "-x", "=x", "a b", "ä", "x" * 101, "a\n", "a/b"])
def test_a_bad_queue_name_is_refused(name):
    """What could be mistaken for another key, or cannot be read, is no name."""
    with pytest.raises(InvalidDefinition, match="queue name"):
        check_queue_name(name)


@pytest.mark.parametrize("limits", [{"max_running": 0}, {"max_running": -1}, {"rate": "often"}])
def test_a_limit_that_lets_nothing_run_is_refused(limits):
    """A queue is declared with a limit that can be kept."""
    with pytest.raises(InvalidDefinition):
        Queue("llm", **limits)
