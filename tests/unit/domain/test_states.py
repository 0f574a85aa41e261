"""The states of a job and the moves between them."""

import pytest

from offload.domain.states import MOVES, PENDING, TERMINAL, Status, as_seen


def test_every_state_has_its_moves():
    """The table names each state once."""
    assert set(MOVES) == set(Status)


def test_a_job_is_either_waiting_or_running_or_at_its_end():
    """Pending, running and terminal share no state and leave none out."""
    assert PENDING | TERMINAL | {Status.RUNNING} == set(Status)
    assert not PENDING & TERMINAL


@pytest.mark.parametrize("status", list(Status))
def test_only_a_replay_leaves_a_terminal_state(status):
    """From a terminal state a job goes back to waiting, or nowhere."""
    assert status.is_terminal == (status in TERMINAL)
    assert not status.is_terminal or MOVES[status] <= PENDING


def test_every_state_leads_to_an_end():
    """From each state some terminal state can be reached."""
    for status in Status:
        reached, seen = {status}, set()
        while reached - seen:
            seen |= reached
            reached = seen.union(*(MOVES[one] for one in seen))

        assert reached & TERMINAL


@pytest.mark.parametrize("stored", [Status.DEFERRED, Status.RETRYING])
def test_time_alone_makes_a_waiting_job_queued(stored):
    """A deferred or retrying job reads queued from its due time on."""
    assert as_seen(stored, 1000, 999) is stored
    assert as_seen(stored, 1000, 1000) is Status.QUEUED
    assert as_seen(stored, None, 1000) is stored


@pytest.mark.parametrize("stored", [Status.QUEUED, Status.RUNNING, *sorted(TERMINAL)])
def test_time_moves_no_other_job(stored):
    """All other states are seen as they are stored."""
    assert as_seen(stored, 1000, 2000) is stored
