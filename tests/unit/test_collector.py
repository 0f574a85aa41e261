"""The garbage collector, told what stays."""

import contextlib
import gc

from offload import gc_tuning


def test_what_is_there_at_the_start_is_not_looked_through_again():
    """The garbage collector leaves the program itself out of its looks, and looks less often."""
    thresholds = gc.get_threshold()
    try:
        gc_tuning.settle()
        frozen, settled = gc.get_freeze_count(), gc.get_threshold()
        left = len(gc.get_objects())
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)

    assert frozen > 10 * left
    assert settled[0] > thresholds[0]


def test_it_rests_while_much_is_made_and_no_longer():
    """Also where that fails; who had switched it off finds it off."""
    seen = []
    with contextlib.suppress(KeyError), gc_tuning.paused():
        seen.append(gc.isenabled())
        raise KeyError
    after = gc.isenabled()
    gc.disable()
    try:
        with gc_tuning.paused():
            pass
        left = gc.isenabled()
    finally:
        gc.enable()

    assert (seen, after, left) == ([False], True, False)
