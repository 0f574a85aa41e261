"""Settings of Python's garbage collector, in processes that are ours alone and while many lasting objects are made.

A collection of all objects holds the event loop; it took a third of the time of a large batch.
"""

import contextlib
import gc
from collections.abc import Iterator


def settle() -> None:
    """Exclude all present objects from collection: they are the program itself, some 100,000, which no work changes.

    Cycles that requests and jobs leave behind are looked for less often, and cost little then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Pause collection while many lasting objects are made. Await nothing in here: other tasks' garbage waits too."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
