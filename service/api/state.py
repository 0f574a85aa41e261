"""What every route is given: the ways in and out of Redis, and the worker's defaults that documents show."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.client import Client
from service.inspector import Inspector


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


def state_of(request: Request) -> State:
    """Return what the application was started with."""
    state: State = request.app.state.offload
    return state


async def _given(request: Request) -> State:  # async: FastAPI would send a plain function to a thread
    return state_of(request)


Given = Annotated[State, Depends(_given)]
