"""Opens the port before anything else is started, so that a port in use is reported at once and in one line."""

import errno
import socket

from offload.domain.errors import Unavailable
from offload.settings import Settings

BACKLOG = 2048


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens on `host` and `port` (0: a free one); raises Unavailable."""
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a valid host name"
        raise Unavailable(f"cannot listen on {host!r} (OFFLOAD_HOST): {reason}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(_reason(error, host, port)) from None
    return listener


def inherited(descriptor: int) -> socket.socket:
    """Return the listening socket that the parent passed on; raises Unavailable."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise Unavailable(f"--fd {descriptor} is not a socket: {error.strerror}") from None


def url_of(listener: socket.socket) -> str:
    """Return the URL for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host)  # noqa: S104  (it is read here, not listened on)
    return f"http://{reachable or (f'[{host}]' if ':' in host else host)}:{port}"


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop the other program or choose another port (--port, OFFLOAD_PORT)"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"no permission to use port {port} on {host}; choose a port above 1023"
    return f"cannot listen on {host}:{port}: {error.strerror}"
