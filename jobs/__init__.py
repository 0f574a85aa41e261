"""The job modules of this clone, and the place for yours: `jobs/hello.py` is one.

`arq jobs.WorkerSettings` runs every module that OFFLOAD_JOBS names, on Offload's engine: by `import offload.arq`.
"""

from typing import Any

import offload.arq  # noqa: F401 - for what it does: the arq CLI then runs our engine
from offload import logs
from offload.loader import load
from offload.settings import get_settings
from offload.worker.options import arq_arguments

__all__ = ["WorkerSettings"]


def __getattr__(name: str) -> Any:
    """Make `WorkerSettings` when the arq CLI asks for it: it needs the modules of this package loaded."""
    if name != "WorkerSettings":
        msg = f"module 'jobs' has no attribute {name!r}"
        raise AttributeError(msg)
    settings = get_settings()
    logs.configure(settings.log_level, settings.log_format)
    made = type("WorkerSettings", (), arq_arguments(settings, load(settings.jobs)))
    globals()[name] = made
    return made
