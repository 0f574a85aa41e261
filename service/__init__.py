"""Offload: the job queue service for async Python, on ARQ. This is what a module of job functions imports.

The names are loaded when they are first used, so that the small processes beside a worker (guardian, embedded Redis)
stay small.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.domain.artifacts import Artifact
    from service.domain.errors import GiveUp, LoopBudgetExceeded, Retry
    from service.domain.functions import JobFunction, job
    from service.domain.policy import Backoff
    from service.domain.queues import Queue
    from service.domain.schedules import Schedule
    from service.worker.context import JobContext

_HOMES = {
    "Artifact": "service.domain.artifacts",
    "Backoff": "service.domain.policy",
    "GiveUp": "service.domain.errors",
    "JobContext": "service.worker.context",
    "JobFunction": "service.domain.functions",
    "LoopBudgetExceeded": "service.domain.errors",
    "Queue": "service.domain.queues",
    "Retry": "service.domain.errors",
    "Schedule": "service.domain.schedules",
    "job": "service.domain.functions",
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
        msg = f"module 'service' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
