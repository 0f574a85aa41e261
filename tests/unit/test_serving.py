"""How the web process prepares to serve."""

import gc

from service import serving


def test_what_is_there_at_the_start_is_not_looked_through_again():
    """The garbage collector leaves the program itself out of its looks, and looks less often."""
    thresholds = gc.get_threshold()
    try:
        serving.settle()
        frozen, settled = gc.get_freeze_count(), gc.get_threshold()
        left = len(gc.get_objects())
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)

    assert frozen > 10 * left
    assert settled[0] > thresholds[0]
