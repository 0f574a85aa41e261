"""A file that a job made, as a value."""

from pydantic import BaseModel, ConfigDict


class Artifact(BaseModel):
    """A stored file: fetch it at `/v1/artifacts/{id}`; `size` in bytes, `sha256` in hex."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    media_type: str
    size: int
    sha256: str
