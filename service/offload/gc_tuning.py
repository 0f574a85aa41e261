"""Python's garbage collector, told what stays: in processes that are ours alone, and while much is made that stays.

A look through all objects holds the event loop, and was a third of what a large batch took.
"""

import contextlib
import gc
from collections.abc import Iterator


def settle() -> None:
    """Tell it that what is there now stays: it is the program itself, some 100,000 objects, which no work changes.

    What requests and jobs leave behind in cycles is looked for less often, and costs little then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Let it rest while many objects are made that all stay. Await nothing in here: others' garbage waits too."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
