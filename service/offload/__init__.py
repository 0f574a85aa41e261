"""Offload: the job queue service for async Python, on ARQ. This is what a module of job functions imports.

The names are loaded when they are first used, so that the small processes beside a worker (guardian, embedded Redis)
stay small.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offload.domain.artifacts import Artifact
    from offload.domain.errors import GiveUp, LoopBudgetExceeded, Retry
    from offload.domain.functions import JobFunction, job
    from offload.domain.policy import Backoff
    from offload.domain.queues import Queue
    from offload.domain.schedules import Schedule
    from offload.worker.context import JobContext

_HOMES = {
    "Artifact": "offload.domain.artifacts",
    "Backoff": "offload.domain.policy",
    "GiveUp": "offload.domain.errors",
    "JobContext": "offload.worker.context",
    "JobFunction": "offload.domain.functions",
    "LoopBudgetExceeded": "offload.domain.errors",
    "Queue": "offload.domain.queues",
    "Retry": "offload.domain.errors",
    "Schedule": "offload.domain.schedules",
    "job": "offload.domain.functions",
}

__all__ = [
    "Artifact",
    "Backoff",
    "GiveUp",
    "JobContext",
    "JobFunction",
    "LoopBudgetExceeded",
    "Queue",
    "Retry",
    "Schedule",
    "job",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'offload' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
