"""How a command in one shell finds the `offload up` of another: a file in its data directory.

`up` writes there its embedded Redis, the job modules that it loaded and its API, and locks the file for as long as it
lives. So a file that a killed `up` left behind is known by its missing lock, whatever process has its number now.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

NAME = "up.json"


@dataclass(frozen=True)
class RunningUp:
    """A running `offload up`. `redis_url` is None if it uses a Redis that is not its own: that may hold a secret."""

    redis_url: str | None
    jobs: tuple[str, ...]
    directory: str
    api_url: str
    pid: int


@contextlib.contextmanager
def published(data_dir: Path, up: RunningUp) -> Iterator[None]:
    """Let other commands find this `up` while the block runs."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / NAME
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(orjson.dumps(asdict(up)))
        file.flush()
        part.replace(path)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    path.unlink()


def find(data_dir: Path) -> RunningUp | None:
    """Return the `offload up` that runs on this data directory, or None."""
    try:
        with (data_dir / NAME).open("rb") as file:
            if not _is_locked(file.fileno()):
                return None
            published: dict[str, Any] = orjson.loads(file.read())
            return RunningUp(**{**published, "jobs": tuple(published["jobs"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
