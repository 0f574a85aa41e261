"""The command line: translates the shell into calls of `client` and `inspector`, and starts the processes.

Exit codes: 0 done, 1 the job failed, 2 usage, 3 service or Redis unreachable (`errors` has the table).
"""

import sys
from collections.abc import Sequence

from offload.cli import errors


def run_command(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; a traceback of ours is never printed."""
    from offload.cli.main import run  # noqa: PLC0415 - a failing import is reported in one line

    words = list(sys.argv[1:] if arguments is None else arguments)
    raise SystemExit(errors.run_guarded(lambda: run(words)))
