"""Files as arguments: base64 content or an artifact of another job, never a path on the worker's machine."""

import base64
import binascii
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from offload import Artifact, GiveUp, JobContext
from offload.domain.errors import NotFound


def check_base64(text: str) -> str:
    """Return the text, or raise ValueError if it is not base64 (RFC 4648, section 4)."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"not base64: {error}"
        raise ValueError(msg) from None
    return text


Base64Text = Annotated[str, AfterValidator(check_base64), Field(json_schema_extra={"contentEncoding": "base64"})]
ArtifactId = Annotated[str, Field(min_length=1, max_length=200)]


class FileInput(BaseModel):
    """A file: either its content in base64, or the id of an artifact."""

    model_config = ConfigDict(extra="forbid")

    content_base64: Base64Text | None = None
    artifact_id: ArtifactId | None = None

    @model_validator(mode="after")
    def _has_one_content(self) -> Self:
        if (self.content_base64 is None) == (self.artifact_id is None):
            msg = "specify either content_base64 or artifact_id"
            raise ValueError(msg)
        return self

    def read(self, ctx: JobContext) -> tuple[Artifact | None, bytes]:
        """Return the content, and the artifact if it is one; blocks, so call it in a thread or a process."""
        if self.artifact_id is not None:
            return read_artifact(ctx, self.artifact_id)
        return None, base64.b64decode(self.content_base64 or "")


def read_artifact(ctx: JobContext, artifact_id: str) -> tuple[Artifact, bytes]:
    """Return an artifact and its content; raise GiveUp if it does not exist. Blocks."""
    try:
        return ctx.read_artifact(artifact_id)
    except NotFound as error:
        raise GiveUp(str(error)) from error
