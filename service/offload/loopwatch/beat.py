"""What the loop's thread says of itself at each beat."""

import resource
from time import monotonic_ns, process_time_ns, thread_time_ns
from typing import NamedTuple

_THREAD = getattr(resource, "RUSAGE_THREAD", None)  # Linux alone has it


class Beat(NamedTuple):
    """When it was and was due, and what the loop's thread had used and done by then, in ns since it began."""

    at_ns: int
    due_ns: int
    cpu_ns: int
    switches: int
    busy_ns: int
    gc_ns: int
    process_ns: int


def beat(due_ns: int, busy_ns: int, gc_ns: int) -> Beat:
    """Return a beat of this thread, now."""
    return Beat(monotonic_ns(), due_ns, thread_time_ns(), switches(), busy_ns, gc_ns, process_time_ns())


def switches() -> int:
    """Return how often this thread has given up its processor by itself; 0 for ever where that is not counted."""
    return resource.getrusage(_THREAD).ru_nvcsw if _THREAD is not None else 0


COUNTS_SWITCHES = _THREAD is not None
