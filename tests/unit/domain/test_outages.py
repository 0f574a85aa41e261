"""Redis away, as values: how long to wait, and when there is something to say."""

import pytest

from offload.domain.outages import RECONNECT, Outage


@pytest.mark.parametrize(("failures", "whole"), [(1, 0.1), (2, 0.2), (3, 0.4), (5, 1.6), (6, 2.0), (100_000, 2.0)])
def test_a_pause_doubles_up_to_a_limit(failures, whole):
    """It grows with each failure, and ends at the limit however long an outage lasts."""
    assert RECONNECT.pause(failures, 0.0) == pytest.approx(whole)


@pytest.mark.parametrize("failures", [1, 4, 50])
def test_up_to_half_of_a_pause_is_a_matter_of_chance(failures):
    """A fleet comes back spread over time, and no loop turns at once."""
    whole = RECONNECT.pause(failures, 0.0)

    assert RECONNECT.pause(failures, 0.5) == pytest.approx(whole * 0.75)
    assert whole / 2 <= RECONNECT.pause(failures, 0.999) < whole * 0.51


def test_an_outage_begins_once_and_ends_once():
    """The first failure begins it, the success of the last part that failed ends it; its length and tries are known."""
    outage = Outage()
    begun = [outage.failed("claims", 10.0), outage.failed("claims", 10.1), outage.failed("inbox", 10.2)]
    ended = [outage.served(part, 12.0) for part in ("claims", "claims", "ticks", "inbox", "inbox")]

    assert begun == [(1, True), (2, False), (1, False)]
    assert ended == [None, None, None, (2.0, 3), None]


def test_a_part_that_is_refused_keeps_an_outage_going():
    """Where Redis serves one part and refuses another, turn by turn, nothing begins or ends in between."""
    outage = Outage()
    turns = [(outage.failed("ticks", float(now))[1], outage.served("claims", float(now))) for now in range(5)]

    assert turns == [(True, None), *[(False, None)] * 4]
    assert outage.served("ticks", 9.0) == (9.0, 5)
