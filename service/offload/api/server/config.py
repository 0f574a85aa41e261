"""uvicorn's configuration for `offload api`: our protocol, and as many open files as the system allows.

What it buys: each connection is an open file, and the usual soft limit is 1,024; connections beyond the limit are
answered with 503 in place of failing to be accepted. uvicorn's access log is off: `middleware.access_log` writes one.

To do without: `uvicorn --factory offload.app:create_app` with options of your own, and `ulimit -n`.
"""

import resource

import uvicorn
from starlette.types import ASGIApp

from offload.api.server.protocol import ProtocolLimits, protocol
from offload.settings import Settings

_SPARED = 200  # files for connections to Redis, artifacts, the log
_FEWEST = 100


def config(app: ASGIApp, settings: Settings, *, drain: int) -> uvicorn.Config:
    """Return uvicorn's configuration; a stopping server lets open requests end for `drain` seconds."""
    limits = ProtocolLimits(request_s=settings.request_timeout, connections=max(_open_files() - _SPARED, _FEWEST))
    return uvicorn.Config(
        app,
        http=protocol(limits),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=drain,
    )


def _open_files() -> int:
    """Raise the limit of open files to the system's maximum, since each connection is one; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        except (ValueError, OSError):  # macOS allows less than it says
            return soft
        return max(soft, wanted)
    return soft
