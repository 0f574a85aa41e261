"""Files that jobs made, as downloads that a browser cannot be tricked into running."""

import asyncio
import re
import unicodedata
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Request
from starlette.responses import FileResponse, Response

from offload.api.problems import responses
from offload.api.problems.request_errors import RangeOutside
from offload.api.state import Given
from offload.domain.artifacts import Artifact
from offload.domain.errors import NotFound

router = APIRouter(tags=["artifacts"])

# What a browser may show by itself. Nothing that can carry a script is here: no HTML, SVG or XML.
INLINE = frozenset(
    {
        "application/json",
        "application/pdf",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
    }
)
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)
_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


@router.get(
    "/v1/artifacts/{artifact_id}",
    operation_id="get_artifact",
    summary="Download an artifact",
    response_class=FileResponse,
    responses={
        200: {"description": "The file", "content": {"application/octet-stream": {}}},
        206: {"description": "The part of the file that `Range` requested"},
        304: {"description": "Not modified: `If-None-Match` has the file's `ETag`"},
        **responses.responses(404, 416, 503),
    },
)
async def get_artifact(
    artifact_id: str,
    request: Request,
    given: Given,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Download a file that a job made, with the name and media type that the job set. The ETag is its SHA-256."""
    artifact, path = await given.promptly(given.inspector.artifact(artifact_id))
    etag = f'"{artifact.sha256}"'
    if if_none_match is not None and _names(if_none_match, etag):
        return Response(status_code=304, headers={"ETag": etag})
    size = await _size(artifact, path)
    _settle_range(request, size)
    return FileResponse(path, media_type=media_type(artifact), headers=_headers(artifact, etag))


def media_type(artifact: Artifact) -> str:
    """Return the job's media type, or `application/octet-stream` if it is malformed."""
    return artifact.media_type if _MEDIA_TYPE.fullmatch(artifact.media_type) else "application/octet-stream"


def disposition(artifact: Artifact) -> str:
    """Return Content-Disposition (RFC 6266, RFC 5987): shown inline only if that is harmless, under a tame name."""
    kind = "inline" if media_type(artifact).partition(";")[0].lower() in INLINE else "attachment"
    tame = "".join("_" if unicodedata.category(c)[0] == "C" or c in '/\\"%' else c for c in artifact.name)
    tame = tame.strip(" .")[-150:] or "file"
    plain = tame.encode("ascii", "replace").decode().replace("?", "_")
    extended = "" if plain == tame else f"; filename*=UTF-8''{quote(tame, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'


def _headers(artifact: Artifact, etag: str) -> dict[str, str]:
    headers = {
        "Content-Disposition": disposition(artifact),
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",  # an id never gets other bytes
    }
    if media_type(artifact) != "application/pdf":  # a browser's own PDF viewer does not start in a sandbox
        headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return headers


def _names(if_none_match: str, etag: str) -> bool:
    given = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in given or etag in given


async def _size(artifact: Artifact, path: Path) -> int:
    try:
        return (await asyncio.to_thread(path.stat)).st_size
    except FileNotFoundError:  # pruned since it was found
        raise NotFound("artifact", artifact.id) from None


def _settle_range(request: Request, size: int) -> None:
    """Refuse a range that lies outside the file; drop one that is not understood, as RFC 9110, section 14.2, says."""
    wanted = request.headers.get("range")
    if wanted is None:
        return
    match = _ONE_RANGE.fullmatch(wanted.replace(" ", ""))
    if match and match[1] and int(match[1]) >= size:
        raise RangeOutside(size)
    is_sane = (
        match
        and (match[1] or match[2] not in ("", "0"))
        and (not match[1] or not match[2] or int(match[1]) <= int(match[2]))
    )
    if not is_sane or size == 0:
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
