"""The job modules of this clone, and the place for yours: `jobs/hello.py` is one.

`arq jobs.WorkerSettings` runs the modules of OFFLOAD_JOBS on Offload's engine, which `import offload.arq` installs.
"""

from typing import Any

import offload.arq  # noqa: F401 - its import makes the arq CLI run our engine
from offload import logs
from offload.loader import load
from offload.settings import get_settings
from offload.worker.options import arq_arguments

__all__ = ["WorkerSettings"]


def __getattr__(name: str) -> Any:
    """Build `WorkerSettings` on access by the arq CLI: it loads the modules of this package."""
    if name != "WorkerSettings":
        msg = f"module 'jobs' has no attribute {name!r}"
        raise AttributeError(msg)
    settings = get_settings()
    logs.configure(settings.log_level, settings.log_format)
    worker_settings = type("WorkerSettings", (), arq_arguments(settings, load(settings.jobs)))
    globals()[name] = worker_settings
    return worker_settings
