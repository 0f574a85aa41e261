"""`offload api` and `offload worker`: one process of the service each, for those who start them one by one."""

import contextlib
import math
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import structlog
import typer

from offload import lifeline, logs
from offload.cli import listening, session
from offload.cli.commands.stalls import FailOnStall, check_watched
from offload.domain.errors import Unavailable
from offload.settings import Settings, child_environment, unknown_variables

log = structlog.get_logger(__name__)

# A stream of events never ends by itself, so a stopping API waits this long for open requests.
LONGEST_DRAIN = 5.0

Queues = Annotated[
    list[str] | None, typer.Option("--queue", metavar="QUEUE", help="Only process this queue. Can be repeated.")
]


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="OFFLOAD_HOST")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.", show_default="OFFLOAD_PORT"),
    ] = None,
    fd: Annotated[int | None, typer.Option(hidden=True, help="A listening socket that the parent passed on.")] = None,
) -> None:
    """Run the HTTP API."""
    import uvicorn  # noqa: PLC0415 - with FastAPI it takes longer than all else that a command does

    from offload import gc_tuning  # noqa: PLC0415 - as above
    from offload.api.server import config  # noqa: PLC0415 - as above
    from offload.app import check_exposure, create_app  # noqa: PLC0415 - as above

    settings = session.settings(host=host, port=port)
    check_exposure(settings)
    listener = listening.listen(settings) if fd is None else listening.inherited(fd)
    settings = _prepare(settings)
    with contextlib.closing(listener):
        app = create_app(settings)
        if settings.lifeline_fd is not None:
            lifeline.watch(settings.lifeline_fd, LONGEST_DRAIN + 5)
        drain = math.ceil(min(settings.shutdown_grace, LONGEST_DRAIN))
        server = uvicorn.Server(config.config(app, settings, drain=drain))
        # uvicorn raises a signal once more after it has stopped; so one that was asked for is a success.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.handle_exit)
        gc_tuning.settle()
        log.info("api_listening", url=listening.url_of(listener))
        server.run(sockets=[listener])


def worker(
    burst: Annotated[bool, typer.Option("--burst", help="Exit when the queues are empty.")] = False,
    queue: Queues = None,
    fail_on_stall: FailOnStall = False,
) -> None:
    """Run a worker. If it dies, its jobs are released at once and it is restarted."""
    settings = session.settings()
    check_watched(settings, fails=fail_on_stall)
    resolved = _prepare(settings)
    if (resolved.redis_url, resolved.jobs) != (settings.redis_url, settings.jobs):
        _restart_with(resolved)
    _check_writable(resolved)
    _supervise(resolved, burst=burst, queues=queue or (), fail_on_stall=fail_on_stall)


def _supervise(settings: Settings, *, burst: bool, queues: Sequence[str], fail_on_stall: bool) -> NoReturn:
    """Replace this process with the supervisor of a worker, which has little in memory."""
    """Go on as the supervisor of a worker, a process with little in it."""
    from offload.store.connection.blocking import portable  # noqa: PLC0415
    from offload.store.connection.connection import settings_of  # noqa: PLC0415 - other commands do without them
    from offload.worker.guardian.supervisor import SupervisorConfig, become  # noqa: PLC0415

    config = SupervisorConfig(
        address=portable(settings_of(settings.redis_url)),
        lease_ms=round(settings.lease_seconds * 1000),
        max_tries=settings.max_tries,
        dead_ttl_ms=settings.retention.dead_ttl_ms,
        grace=settings.shutdown_grace,
        lifeline_fd=settings.lifeline_fd,
        log_level=settings.log_level,
        log_format=settings.log_format,
        burst=burst,
        queues=list(queues),
        fail_on_stall=fail_on_stall,
    )
    become(config, child_environment({"redis_url": settings.redis_url}))


def _prepare(settings: Settings) -> Settings:
    """Configure the log, warn of unknown settings, and return the settings with a Redis address and job modules."""
    logs.configure(settings.log_level, settings.log_format)
    for warning in unknown_variables():
        log.warning("unknown_setting", hint=warning)
    return session.with_redis(session.with_jobs(settings))


def _restart_with(settings: Settings) -> None:
    """Start this command again with Redis and job modules in its environment, for the worker's processes."""
    environment = child_environment({"redis_url": settings.redis_url, "jobs": settings.jobs})
    os.execve(sys.executable, [sys.executable, "-P", "-m", "offload", *sys.argv[1:]], environment)  # noqa: S606


def _check_writable(settings: Settings) -> None:
    """Raise Unavailable unless the directory of artifacts is writable: better now than at the first artifact."""
    directory = settings.artifacts_dir
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot create the artifacts directory {str(directory)!r}: {error.strerror}") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise Unavailable(f"cannot write to the artifacts directory {str(directory)!r} (OFFLOAD_ARTIFACTS_URL)")
