"""Whose signals a worker process counts: all that it gets, or, while it has a supervisor, what that passes on.

The supervisor passes on the first as SIGTERM and any further one as SIGUSR1. Ctrl-C at a terminal, systemd and the
lifeline reach the worker as well; that is not asking twice.
"""

import signal
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offload.worker.worker import Worker

_BOTH = (signal.SIGTERM, signal.SIGINT)


def leave_to_parent(worker: "Worker") -> None:
    """Count what the supervisor passes on, and nothing else."""
    worker.loop.remove_signal_handler(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker.loop.add_signal_handler(signal.SIGTERM, worker.stop_in_time)
    worker.loop.add_signal_handler(signal.SIGUSR1, worker.handle_sig, signal.SIGUSR1)


def take_back(worker: "Worker") -> None:
    """Count every signal, for the supervisor is gone: the first stops the worker in time, the second at once."""
    for number in _BOTH:
        worker.loop.add_signal_handler(number, partial(worker.handle_sig_wait_for_completion, number))
