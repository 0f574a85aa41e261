"""What is fuzzed: the real application, made brief. A stream is left after a moment, and nobody waits for long.

And the job functions that are fuzzed beside the shipped ones: they take all kinds of arguments, and do next to nothing.
"""

import asyncio
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, SecretStr

from offload import JobContext, Retry, job
from offload.app import create_app

_WAIT = re.compile(rb"(?<=wait=)(\d+(?:\.\d+)?)(?=&|$|,|;)")
_MOMENT_S = 0.15


class Colour(StrEnum):
    """Something to choose."""

    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    """Something that nests."""

    name: Annotated[str, Field(max_length=50, examples=["screw"])]
    count: Annotated[int, Field(ge=0, le=1000, examples=[3])] = 1
    parts: list["Item"] = Field([], max_length=5)
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


@job(name="fuzz.add")
async def add(ctx: JobContext, a: int, b: int = 2) -> int:
    return a + b


@job(name="fuzz.order", queue="orders", max_tries=2)
async def order(
    ctx: JobContext, items: Annotated[list[Item], Field(min_length=1, max_length=5)], colour: Colour = Colour.RED
) -> Item:
    return items[0]


@job(name="fuzz.sign", runs_in="thread")
def sign(ctx: JobContext, password: SecretStr, kind: Literal["a", "b"] = "a", at: datetime | None = None) -> str:
    return kind


@job(name="fuzz.echo")
async def echo(ctx: JobContext, value: Any = None, more: dict[str, int] | None = None) -> Any:
    ctx.progress(0.5, "half")
    ctx.log.info("echo")
    return value


@job(name="fuzz.fail", max_tries=2)
async def fail(ctx: JobContext, how: Literal["error", "retry", "unserialisable"] = "error") -> object:
    if how == "retry":
        raise Retry(after=0.1)
    if how == "error":
        raise ValueError(how)
    return object()


class Brief:
    """Around the application: what would take long is cut short, as by a client that leaves.

    Each request comes from an address of its own, so that wrong keys are answered as such however many there are.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.count += 1
        scope["client"] = (f"10.{self.count >> 16 & 255}.{self.count >> 8 & 255}.{self.count & 255}", 1)
        scope["query_string"] = _WAIT.sub(_shorter, scope["query_string"])
        scope["headers"] = [(k, _WAIT.sub(rb"0", v) if k == b"prefer" else v) for k, v in scope["headers"]]
        if not scope["path"].endswith("/events"):
            await self.app(scope, receive, send)
            return
        await self._leave_early(scope, receive, send)

    async def _leave_early(self, scope: Any, receive: Any, send: Any) -> None:
        leave, is_open = asyncio.Event(), False

        async def receive_until_left() -> Any:
            if not leave.is_set():
                receiving = asyncio.ensure_future(receive())
                leaving = asyncio.ensure_future(leave.wait())
                done, rest = await asyncio.wait([receiving, leaving], return_when=asyncio.FIRST_COMPLETED)
                for task in rest:
                    task.cancel()
                if receiving in done:
                    return receiving.result()
            return {"type": "http.disconnect"}

        async def send_noted(message: Any) -> None:
            nonlocal is_open
            is_open = message["type"] == "http.response.start" or message.get("more_body", False)
            await send(message)

        asyncio.get_running_loop().call_later(_MOMENT_S, leave.set)
        await self.app(scope, receive_until_left, send_noted)
        if is_open:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _shorter(found: re.Match[bytes]) -> bytes:
    return b"%g" % min(float(found[1]), 0.1) if float(found[1]) <= 60 else found[1]


def create() -> Any:
    """Build what uvicorn serves."""
    return Brief(create_app())
