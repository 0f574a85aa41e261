"""How long to wait before a process that has ended is started again."""

from offload.domain.restarts import PAUSES_S, SETTLED_S, Restarts


def test_each_restart_in_a_row_waits_longer_up_to_a_limit():
    """The first comes almost at once; a process that cannot run costs no more than a start in ten seconds."""
    restarts = Restarts()
    pauses = [restarts.pause_after(0.5) for _ in range(8)]

    assert pauses == [*PAUSES_S, 10.0, 10.0]
    assert pauses == sorted(pauses)


def test_a_process_that_ran_for_a_while_begins_a_new_row():
    """What it dies of then is another story."""
    restarts = Restarts()
    pauses = [restarts.pause_after(ran_s) for ran_s in (1.0, 1.0, SETTLED_S + 1, SETTLED_S)]

    assert pauses == [0.1, 0.5, 0.1, 0.5]


def test_a_change_begins_a_new_row():
    """A process that was started anew on purpose has not died."""
    restarts = Restarts()
    for _ in range(5):
        restarts.pause_after(0.0)
    restarts.forget()

    assert restarts.pause_after(0.0) == PAUSES_S[0]
