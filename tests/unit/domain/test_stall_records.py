"""The record of a stall, and the complaint that fails a build."""

from pathlib import Path

import pytest

from offload.domain import stalls
from offload.domain.errors import InvalidOptions
from offload.domain.filters import StallFilter
from support.stalls import stall


def test_the_guardians_record_is_of_the_same_cause_as_the_reporters():
    """Function, file and the name of the code in it make the fingerprint; the line may move, the time may differ."""
    mine = stall()
    ours = {key: value for key, value in stall(line=99, held_ms=9).items() if key != "fingerprint"}

    assert stalls.fingerprint_of(ours) == mine["fingerprint"]
    assert stalls.fingerprint_of({**ours, "function": "mail.send"}) != mine["fingerprint"]
    assert stalls.fingerprint_of({**ours, "kind": "callback"}) != mine["fingerprint"]
    assert stalls.fingerprint_of({**ours, "fingerprint": "0123456789ab"}) == "0123456789ab"


def test_the_feed_tells_what_is_known_and_no_code():
    """An event is short, and has nothing that is unknown in it."""
    said = stalls.event(stall(route=None))

    assert said["held_ms"] == 300
    assert not said.keys() & {"route", "stack", "code", "callee", "job_id"}


@pytest.mark.parametrize(
    ("about", "name"),
    [({}, "fetch.page"), ({"function": None, "route": "GET /x"}, "GET /x"), ({"function": None}, "-")],
)
def test_a_stall_is_counted_under_its_function_or_route(about, name):
    """A stall that is neither is counted as `-`."""
    assert stalls.counted_name(stall(**about)) == name


def test_each_cause_is_told_once_with_its_worst():
    """A line that counts, and one for each cause: what, where, how long, how often, what to do instead."""
    other = stall(function=None, job_id=None, file="/x/y/z.py", line=None, hint="mend it")
    said = stalls.complaint([stall(held_ms=200), stall(held_ms=3021), other], "/app")

    assert said.splitlines() == [
        "3 stalls of an event loop",
        f"  fetch.page at jobs/fetch.py:41: 3.02 s, 2 times: {stall()['hint']}",
        "  (worker) at y/z.py: 0.30 s: mend it",
    ]
    assert stalls.complaint([stall(file=None)], "/").startswith("1 stall of an event loop\n  fetch.page at ?: ")


def test_only_steps_and_callbacks_are_somebodys_fault():
    """What the machine, the collector or another thread did is not."""
    kinds = ["step", "callback", "saturated", "gc", "starved", "gil-other-thread", "startup"]

    assert [one["kind"] for one in stalls.blaming(stall(kind=kind) for kind in kinds)] == ["step", "callback"]


def test_a_filter_takes_what_fits_all_it_says():
    """And refuses what nothing can fit."""
    assert StallFilter().matches(stall())
    assert StallFilter(kind="step", worker="w1", function="fetch.page").matches(stall())
    assert not StallFilter(kind="step", worker="w2").matches(stall())
    assert StallFilter(after_ms=0, before_ms=1000).is_in_window("1970-01-01T00:00:00.999Z")
    assert not StallFilter(before_ms=1000).is_in_window("1970-01-01T00:00:01.000Z")
    with pytest.raises(InvalidOptions):
        StallFilter(after_ms=1000, before_ms=1000)


def test_the_fingerprint_is_made_in_one_place():
    """No module but `domain.stalls` hashes the cause of a stall: two ways would tear the groups of one cause apart."""
    package = Path(stalls.__file__).parents[1]
    hashing = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if "{kind}|" in path.read_text()}

    assert hashing == {"domain/stalls.py"}
