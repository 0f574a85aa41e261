"""What a worker process is called, and how it says whether it is to be started again."""

import os
import secrets
import socket

CANNOT_START = 3
"""Exit code of a worker whose settings or job modules a person must mend."""

HELD_A_LOOP = 1
"""Exit code of a worker that is to fail on stalls, and had one."""
RECYCLED = 4
"""Exit code of a worker that stopped in order, so that a fresh one takes its place."""


def new_worker_id() -> str:
    """Return a name for a worker process that no other has: host, process id, chance."""
    host = "".join(c if c.isalnum() or c in "-." else "-" for c in socket.gethostname())
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
