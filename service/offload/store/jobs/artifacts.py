"""Files that jobs make: the bytes in a directory, their description in Redis."""

import contextlib
import hashlib
import mimetypes
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from offload.domain.artifacts import Artifact
from offload.domain.errors import InvalidOptions, NotFound
from offload.store import keys
from offload.store.connection.connection import RedisClient, reaching_redis

_FOLDER = re.compile("[0-9a-f]{2}")
_NAME = re.compile(r"[0-9a-f]{32}(\.[0-9a-f]{8}\.part)?")


class ArtifactFiles:
    """The directory of artifacts; each is one file named by its id, written whole or not at all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def at(cls, url: str, default: Path) -> "ArtifactFiles":
        """Return the store of OFFLOAD_ARTIFACTS_URL (`file:///path`), or the default directory where it is unset."""
        if not url:
            return cls(default)
        parts = urlsplit(url)
        if parts.scheme != "file" or not parts.path:
            msg = f"OFFLOAD_ARTIFACTS_URL {url!r} is not supported: use file:///a/directory"
            raise InvalidOptions(msg)
        return cls(Path(unquote(parts.path)))

    def write(self, name: str, data: bytes, media_type: str | None = None) -> Artifact:
        """Store bytes; the id cannot be guessed. `name` is only shown, it never becomes a path."""
        artifact = describe(name, data, media_type)
        self.write_as(artifact, data)
        return artifact

    def write_as(self, artifact: Artifact, data: bytes) -> None:
        """Store the bytes of an artifact that is already described."""
        path = self.path(artifact.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()

    def path(self, artifact_id: str) -> Path:
        """Return where the bytes of an id lie; raises NotFound for what cannot be an id."""
        if not artifact_id.isalnum() or not artifact_id.isascii():
            raise NotFound("artifact", artifact_id)
        return self.directory / artifact_id[:2] / artifact_id

    def read(self, artifact_id: str) -> bytes:
        """Return the bytes; raises NotFound."""
        try:
            return self.path(artifact_id).read_bytes()
        except FileNotFoundError:
            raise NotFound("artifact", artifact_id) from None

    def remove_older(self, before_s: float) -> int:
        """Remove files last written before a time (seconds since the epoch); return how many."""
        return sum(self.remove_older_of(self.names(folder), before_s) for folder in self.folders())

    def folders(self) -> list[str]:
        """Return the folders that files lie in; none if the directory does not exist yet."""
        try:
            return [path.name for path in self.directory.iterdir() if _FOLDER.fullmatch(path.name)]
        except FileNotFoundError:
            return []

    def names(self, folder: str) -> list[str]:
        """Return the names of files in a folder that `write` made, also of writes cut short, and no others."""
        try:
            return [path.name for path in (self.directory / folder).iterdir() if _NAME.fullmatch(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def remove_older_of(self, names: Iterable[str], before_s: float) -> int:
        """As `remove_older`, of these names alone. Another process may remove the same files at the same time."""
        removed = 0
        for name in names:
            path = self.directory / name[:2] / name
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before_s:
                    path.unlink()
                    removed += 1
        return removed


def describe(name: str, data: bytes, media_type: str | None = None) -> Artifact:
    """Describe bytes as an artifact of a new id; the media type is guessed from the name where none is given."""
    guessed = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Artifact(
        id=secrets.token_hex(16), name=name, media_type=guessed, size=len(data), sha256=hashlib.sha256(data).hexdigest()
    )


async def register(redis: RedisClient, artifact: Artifact, keep_ms: int) -> None:
    """Store the description of a file for `keep_ms`."""
    with reaching_redis():
        await redis.set(keys.ARTIFACT + artifact.id, artifact.model_dump_json(), px=keep_ms)


async def find(redis: RedisClient, artifact_id: str) -> Artifact:
    """Return the description of a file; raises NotFound when it never existed or is no longer kept."""
    with reaching_redis():
        data = await redis.get(keys.ARTIFACT + artifact_id)
    if data is None:
        raise NotFound("artifact", artifact_id)
    return Artifact.model_validate_json(data)
