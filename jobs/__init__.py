"""The job functions that ship with Offload: mail, HTTP, webhooks, PDF, images, LLM, digests, upkeep.

Importing this package makes the arq CLI run Offload's engine (`service.worker.install`), and `arq jobs.WorkerSettings`
runs every module that OFFLOAD_JOBS names.
"""

from typing import Any

import service.worker.install  # noqa: F401 - for what it does: the arq CLI then runs our engine
from service import logs
from service.loader import load
from service.settings import get_settings
from service.worker.options import arq_arguments

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
