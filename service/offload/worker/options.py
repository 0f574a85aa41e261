"""Options that Offload adds to arq's arguments for a worker, and both as the settings have them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offload.domain.callbacks import Callbacks
from offload.domain.catalogue import Catalogue
from offload.domain.redis_address import DEFAULT_URL
from offload.domain.retention import Retention
from offload.settings import Settings
from offload.store.connection.connection import settings_of
from offload.store.jobs.durability import Confirm
from offload.wiring import codec_of, confirm_of
from offload.worker.exit_codes import new_worker_id


@dataclass(frozen=True)
class WorkerOptions:
    """Options besides arq's own arguments; times in seconds. `queues` of None serves the queue of arq's `queue_name`.

    `catalogue` brings limits and schedules. `supervisor_fd` is a pipe that ends with the supervisor, which is the
    guardian then; without one the worker starts a guardian of its own, unless `has_guardian` is False. `page_fds` are
    the descriptors of the page that worker and supervisor share. `stuck_grace` is how long after an attempt's timeout
    its lease may still be renewed.
    """

    worker_id: str = field(default_factory=new_worker_id)
    queues: Sequence[str] | None = None
    catalogue: Catalogue = field(default_factory=Catalogue)
    lease_seconds: float = 10.0
    abort_grace: float = 1.0
    unknown_function_grace: float = 600.0
    keep_records: float = 3600.0
    keep_dead: float = 30 * 86_400.0
    max_result_bytes: int = 1_048_576
    process_recycle: int = 100
    max_leaked_threads: int = 10
    artifacts: Path = Path(".offload/artifacts")
    has_guardian: bool = True
    supervisor_fd: int | None = None
    page_fds: Sequence[int] | None = None
    stuck_grace: float = 5.0
    stall_seconds: float = 0.1
    loop_budget_ms: float | None = None
    confirm: Confirm = field(default_factory=Confirm)
    callbacks: Callbacks = field(default_factory=Callbacks)

    def retention(self, result_ttl: float) -> Retention:
        """Return the times for which results, records and dead jobs are kept, in ms; `result_ttl` in seconds."""
        record_ms = round(self.keep_records * 1000)
        return Retention(round(result_ttl * 1000), record_ms, round(self.keep_dead * 1000))


def worker_options(settings: Settings, catalogue: Catalogue, **more: Any) -> WorkerOptions:
    """Return the options by the settings; `more` overrides single ones."""
    options: dict[str, Any] = {
        "queues": settings.queues or catalogue.queue_names,
        "catalogue": catalogue,
        "lease_seconds": settings.lease_seconds,
        "abort_grace": settings.abort_grace,
        "stuck_grace": settings.stuck_grace,
        "stall_seconds": settings.stall_ms / 1000,
        "loop_budget_ms": settings.loop_budget_ms,
        "unknown_function_grace": settings.unknown_function_grace,
        "keep_records": settings.keep_records,
        "keep_dead": settings.keep_dead,
        "max_result_bytes": settings.max_result_bytes,
        "process_recycle": settings.process_recycle,
        "max_leaked_threads": settings.max_leaked_threads,
        "artifacts": settings.artifacts_dir.absolute(),
        "confirm": confirm_of(settings),
        "callbacks": settings.callbacks,
    }
    return WorkerOptions(**{**options, **more})


def arq_arguments(settings: Settings, catalogue: Catalogue, **more: Any) -> dict[str, Any]:
    """Return the arguments of `offload.worker.Worker` by the settings; also the body of a `WorkerSettings`.

    Only the process that starts an embedded Redis knows its address; `embedded` stands for the default one here.
    """
    address = settings.redis_url if settings.redis_url != "embedded" else DEFAULT_URL
    codec = codec_of(settings)
    return {
        "functions": list(catalogue.functions.values()),
        "redis_settings": settings_of(address),
        "max_jobs": settings.max_jobs,
        "job_timeout": settings.job_timeout,
        "keep_result": settings.keep_result,
        "max_tries": settings.max_tries,
        "job_completion_wait": round(settings.shutdown_grace),
        "health_check_interval": 30,
        "allow_abort_jobs": True,
        "job_serializer": codec.serialize,
        "job_deserializer": codec.deserialize,
        "offload": worker_options(settings, catalogue, **more),
    }
