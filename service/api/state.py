"""What every route is given: the ways in and out of Redis, and the worker's defaults that documents show."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from service.client import Client
from service.domain.errors import Unavailable
from service.inspector import Inspector

ANSWER_S = 3.0  # longer than any healthy Redis takes, shorter than any caller's patience

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for a job function that says nothing itself; `timeout` and `keep_result` in seconds."""

    max_tries: int
    timeout: float
    keep_result: float


@dataclass(frozen=True, slots=True)
class State:
    """Set on the application when it starts."""

    client: Client
    inspector: Inspector
    defaults: Defaults


async def promptly(answer: Awaitable[T], wait: float = 0) -> T:
    """Return what Redis answers; raises Unavailable when it hangs, after 3 s beyond the `wait` that was asked for."""
    try:
        async with asyncio.timeout(ANSWER_S + wait):
            return await answer
    except TimeoutError:
        raise Unavailable(f"Redis did not answer within {ANSWER_S:g} s") from None


def state_of(request: Request) -> State:
    """Return what the application was started with."""
    state: State = request.app.state.offload
    return state


async def _given(request: Request) -> State:  # async: FastAPI would send a plain function to a thread
    return state_of(request)


Given = Annotated[State, Depends(_given)]
