"""The worker process that `offload worker` starts: settings in, a running worker out."""

import argparse
import asyncio
import os
import sys

import structlog

from offload import gc_tuning, lifeline, logs
from offload.domain import callbacks
from offload.domain.catalogue import Catalogue
from offload.domain.errors import InvalidDefinition, JobsNotLoaded, Unavailable
from offload.loader import CALLBACKS, job_modules, load, users_traceback
from offload.settings import get_settings
from offload.worker.exit_codes import CANNOT_START, RECYCLED
from offload.worker.options import arq_arguments
from offload.worker.worker import Worker

log = structlog.get_logger(__name__)


def main() -> int:
    """Run a worker to its end; return 0, 3 if its settings or job modules are invalid, 4 to be replaced."""
    arguments = _arguments()
    settings = get_settings()
    logs.configure(settings.log_level, settings.log_format)
    if settings.lifeline_fd is not None:
        lifeline.watch(settings.lifeline_fd, settings.shutdown_grace + 5)
    _use_uvloop()
    try:
        catalogue = _catalogue(settings.jobs)
        if arguments.begin_fd is not None and not os.read(arguments.begin_fd, 1):
            return 0  # the supervisor is gone, or needs no other worker
        options = {"worker_id": arguments.id, "supervisor_fd": arguments.supervisor_fd, "page_fds": arguments.page_fds}
        if arguments.queue:
            options["queues"] = arguments.queue
        worker = Worker(**arq_arguments(settings, catalogue, **options), burst=arguments.burst)
        if arguments.supervisor_fd is not None:
            worker.leave_signals_to_supervisor()
        gc_tuning.settle()
        worker.run()
    except (JobsNotLoaded, InvalidDefinition, Unavailable) as error:
        sys.stderr.write(f"{users_traceback(error)}error: {error}\n")
        return CANNOT_START
    return RECYCLED if worker.is_recycled else 0


def _catalogue(modules: list[str]) -> Catalogue:
    catalogue = load(modules)
    if not catalogue.functions.keys() - {callbacks.FUNCTION} and CALLBACKS not in modules:  # that one is always there
        names = ", ".join(job_modules(modules))
        raise InvalidDefinition(f"no job functions in {names} (OFFLOAD_JOBS): a worker has nothing to run")
    return catalogue


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="offload.worker")
    parser.add_argument("--id", required=True)
    parser.add_argument("--supervisor-fd", type=int)
    parser.add_argument("--begin-fd", type=int)
    parser.add_argument("--page-fds", type=int, nargs=3)
    parser.add_argument("--burst", action="store_true")
    parser.add_argument("--queue", action="append")
    return parser.parse_args()


def _use_uvloop() -> None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.set_event_loop(asyncio.new_event_loop())
    else:
        asyncio.set_event_loop(uvloop.new_event_loop())
