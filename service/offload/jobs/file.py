"""Checksums of files: of an artifact, or of a file below the one directory that callers may read.

That is `files` in OFFLOAD_DATA_DIR, not the data directory itself, where Redis keeps its own.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from offload import GiveUp, JobContext, job
from offload.jobs.inputs import ArtifactId, read_artifact

CHUNK = 1024 * 1024
OPEN_TO_CALLERS = "files"

Algorithm = Literal["sha256", "sha512", "sha3_256", "blake2b", "sha1", "md5"]


class Checksum(BaseModel):
    """A digest of a file, in hex; `size` in bytes."""

    algorithm: str
    hex: str
    size: int
    name: str


@job(runs_in="thread", timeout=600, max_tries=3)
def checksum(
    ctx: JobContext, artifact_id: ArtifactId | None = None, path: str | None = None, algorithm: Algorithm = "sha256"
) -> Checksum:
    """Compute the checksum of an artifact, or of a file given by its path below `files` in OFFLOAD_DATA_DIR."""
    if (artifact_id is None) == (path is None):
        msg = "specify either artifact_id or path"
        raise GiveUp(msg)
    if artifact_id is not None:
        artifact, content = read_artifact(ctx, artifact_id)
        pieces = (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
        return _digest(ctx, artifact.name, len(content), pieces, algorithm)
    with ExitStack() as opened:
        descriptor = _open_below(opened, ctx.settings.data_dir / OPEN_TO_CALLERS, str(path))
        file = opened.enter_context(os.fdopen(os.dup(descriptor), "rb", buffering=0))
        size = os.fstat(descriptor).st_size
        return _digest(ctx, str(path), size, iter(lambda: file.read(CHUNK), b""), algorithm)


def _digest(ctx: JobContext, name: str, size: int, pieces: Iterator[bytes], algorithm: Algorithm) -> Checksum:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    done, reported = 0, 0.0
    for piece in pieces:
        ctx.raise_if_aborted()
        digest.update(piece)
        done += len(piece)
        fraction = min(1.0, done / max(size, 1))
        if fraction - reported >= 0.01 or done == size:
            reported = fraction
            ctx.progress(fraction, f"{done:,} of {size:,} bytes")
    return Checksum(algorithm=algorithm, hex=digest.hexdigest(), size=done, name=name)


def _open_below(opened: ExitStack, directory: Path, path: str) -> int:
    """Open a regular file below `directory`; raise GiveUp for anything outside it, by `..` or by a link.

    A link that stays inside is followed. The resolved path is then opened step by step from the directory's own
    descriptor, following no link, so that a link put there a moment later leads nowhere.
    """
    base = directory.resolve()
    try:
        target = (base / path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        msg = f"no file {path!r} below `{OPEN_TO_CALLERS}` in the data directory"
        raise GiveUp(msg) from None
    if not target.is_relative_to(base):
        msg = f"{path!r} is outside of `{OPEN_TO_CALLERS}` in the data directory; use a path such as 'today.csv'"
        raise GiveUp(msg)
    parts = target.relative_to(base).parts
    if not parts:
        msg = f"{path!r} is the directory itself; specify a file below it"
        raise GiveUp(msg)
    try:
        descriptor = _opened(opened, base, os.O_DIRECTORY)
        for part in parts[:-1]:
            descriptor = _opened(opened, part, os.O_DIRECTORY | os.O_NOFOLLOW, descriptor)
        descriptor = _opened(opened, parts[-1], os.O_NOFOLLOW | os.O_NONBLOCK, descriptor)
    except OSError as error:
        msg = f"{path!r} cannot be opened: {error.strerror}"
        raise GiveUp(msg) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        msg = f"{path!r} is not a regular file"
        raise GiveUp(msg)
    return descriptor


def _opened(opened: ExitStack, name: Path | str, flags: int, directory: int | None = None) -> int:
    descriptor = os.open(name, os.O_RDONLY | flags, dir_fd=directory)
    opened.callback(os.close, descriptor)
    return descriptor
