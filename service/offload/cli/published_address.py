"""How a command in one shell finds the embedded Redis of an `offload up` in another: a file in the data directory.

`up` writes the address of its server there and takes it away when it stops. A file that a killed `up` left behind is
told by its socket, on which nobody listens any more.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

NAME = "redis.url"


@contextlib.contextmanager
def published(data_dir: Path, url: str) -> Iterator[None]:
    """Let others find `url` while the block runs."""
    path = data_dir / NAME
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(url + "\n", encoding="utf-8")
    part.replace(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8").strip() == url:
                path.unlink()


def find(data_dir: Path) -> str | None:
    """Return the address of the embedded Redis that runs on this data directory, or None."""
    try:
        url = (data_dir / NAME).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return url if _is_listening(urlsplit(url).path) else None


def _is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(path)
        except (OSError, ValueError):
            return False
    return True
