"""One timer for the timeouts of all attempts of a worker."""

import asyncio

from offload.worker.attempt.timeouts import Timeouts


async def test_deadlines_are_reached_in_their_order():
    """Whichever was started first."""
    reached, last = [], asyncio.Event()
    deadlines = Timeouts(asyncio.get_running_loop())
    for seconds in (0.03, 0.01, 0.02):
        deadlines.start(seconds, lambda seconds=seconds: reached.append(seconds))
    deadlines.start(0.04, last.set)
    await last.wait()

    assert reached == [0.01, 0.02, 0.03]


async def test_one_that_was_cancelled_does_nothing():
    """The one after it is reached all the same, and cancelling again changes nothing."""
    reached, last = [], asyncio.Event()
    deadlines = Timeouts(asyncio.get_running_loop())
    early = deadlines.start(0.01, lambda: reached.append("early"))
    deadlines.start(0.02, last.set)
    early.cancel()
    early.cancel()
    await last.wait()

    assert reached == []
    assert early.is_over


async def test_deadlines_that_are_over_do_not_pile_up():
    """A job that takes a millisecond leaves nothing behind for the five minutes of its timeout."""
    deadlines = Timeouts(asyncio.get_running_loop())
    kept = deadlines.start(300, lambda: None)
    for _ in range(10_000):
        deadlines.start(300, lambda: None).cancel()

    assert len(deadlines._heap) < 200
    assert not kept.is_over
    kept.cancel()


async def test_what_a_deadline_does_may_start_and_cancel_others():
    """As an attempt that is stopped, whose end makes room for the next."""
    reached, last = [], asyncio.Event()
    deadlines = Timeouts(asyncio.get_running_loop())
    other = deadlines.start(0.02, lambda: reached.append("other"))

    def act():
        other.cancel()
        deadlines.start(0.01, last.set)

    deadlines.start(0.01, act)
    await last.wait()

    assert reached == []
