"""Names of worker processes, and the exit codes by which a supervisor starts another or not."""

import os
import secrets
import socket

CANNOT_START = 3
"""Exit code of a worker with invalid settings or job modules: a restart would not help."""

HELD_A_LOOP = 1
"""Exit code of a worker that is to fail on stalls, and had one."""

RECYCLED = 4
"""Exit code of a worker that stopped in order, so that a fresh one takes its place."""


def new_worker_id() -> str:
    """Return a name for a worker process that no other has: host, process id, random digits."""
    host = "".join(c if c.isalnum() or c in "-." else "-" for c in socket.gethostname())
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
