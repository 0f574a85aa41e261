"""Waiting for a job to finish before answering, within the requested time and while the client is connected."""

import asyncio
import re
from collections.abc import Awaitable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from offload.api.options import LONGEST_WAIT_S
from offload.api.problems.request_errors import InvalidParameters
from offload.domain.arguments import field_errors

T = TypeVar("T")
_WAIT = re.compile(rb"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


class Waiting(BaseModel):
    """The query of a call that shows a job."""

    model_config = ConfigDict(extra="forbid")

    wait: float = Field(
        0, ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the job to finish; then it is shown as it is."
    )


def requested(query: bytes) -> float:
    """Return the seconds of `?wait=N`, 0 without it; raises InvalidParameters."""
    if not query:
        return 0
    try:
        return Waiting.model_validate(dict(QueryParams(query))).wait
    except ValidationError as error:
        raise InvalidParameters(field_errors(error)) from None


def preferred(prefer: bytes | None) -> int | None:
    """Return the seconds of `Prefer: wait=N` (RFC 7240, 4.3), at most 60; None without it.

    An unknown preference is ignored, as section 2 of the RFC says.
    """
    found = _WAIT.search(prefer) if prefer else None
    return min(int(found[1]), int(LONGEST_WAIT_S)) if found else None


async def while_connected(receive: Receive, answer: Awaitable[T]) -> T:
    """Return the answer; if the client disconnects first, cancel it and raise ClientDisconnect.

    Only for a request after its body was read.
    """
    limit = asyncio.timeout(None)

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        limit.reschedule(asyncio.get_running_loop().time())

    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            try:
                async with limit:
                    return await answer
            finally:
                watching.cancel()
    except ExceptionGroup as errors:
        error = errors.exceptions[0]
        raise ClientDisconnect if limit.expired() else error from None
    raise AssertionError  # a TaskGroup swallows nothing
