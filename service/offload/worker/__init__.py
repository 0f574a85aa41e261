"""Runs jobs. `Worker` is arq's, on an engine of its own: claims, attempts, leases that a guardian renews."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offload.worker.worker import Worker

__all__ = ["Worker"]


def __getattr__(name: str) -> Any:
    if name != "Worker":
        msg = f"module 'offload.worker' has no attribute {name!r}"
        raise AttributeError(msg)
    from offload.worker.worker import Worker  # noqa: PLC0415 - the small processes beside a worker do without it

    return Worker
