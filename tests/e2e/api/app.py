"""The job functions of these tests, copied to where the processes run."""

import asyncio
from typing import Any

from pydantic import BaseModel

from offload import JobContext, job


class Deep(BaseModel):
    """Something that nests."""

    inner: "Deep | None" = None
    more: dict[str, Any] = {}


@job(name="h.add")
async def add(ctx: JobContext, a: int, b: float = 0) -> float:
    return a + b


@job(name="h.echo")
async def echo(ctx: JobContext, value: Any = None) -> Any:
    return value


@job(name="h.deep")
async def deep(ctx: JobContext, value: Deep) -> None:
    pass


@job(name="h.sleep")
async def sleep(ctx: JobContext, seconds: float) -> None:
    await asyncio.sleep(seconds)
