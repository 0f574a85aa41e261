"""The state of the application that every route gets: the backend, and the workers' defaults that documents show."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from fastapi import Depends, Request

from offload.api.breaker import SLOW_S, Breaker
from offload.api.metrics.registry import Metrics
from offload.api.sse import SseEncoder
from offload.client import Client
from offload.domain.errors import Unavailable, Unconfirmed
from offload.domain.views import Defaults
from offload.inspector import Inspector
from offload.operations import Operations
from offload.store.connection.outage import RedisOutage

ANSWER_S = 3.0  # longer than any healthy Redis takes, shorter than any caller's patience

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class State:
    """Set on the application when it starts."""

    client: Client
    inspector: Inspector
    operations: Operations
    defaults: Defaults
    outage: RedisOutage
    metrics: Metrics
    breaker: Breaker
    encoder: SseEncoder = field(default_factory=SseEncoder)

    async def promptly(self, answer: Awaitable[T], wait: float = 0, part: Literal["reads", "writes"] = "reads") -> T:
        """Return the answer of Redis; raises Unavailable if it does not come within 3 s and the requested `wait`.

        While Redis is known to hang, calls are refused at once. A Redis out of memory serves reads and refuses writes,
        so an outage is recorded for either apart.
        """
        self._refuse_while_unavailable(answer)
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(ANSWER_S + wait):
                answered = await answer
        except TimeoutError:
            error = Unavailable(f"Redis did not answer within {ANSWER_S:g} s")
            self.breaker.suspect()
            self.outage.failed(part, error)
            raise error from None
        except Unconfirmed as error:
            self.outage.failed("confirmations", error)
            raise
        except Unavailable as error:
            if asyncio.get_running_loop().time() - began > SLOW_S + wait:
                self.breaker.suspect()
            self.outage.failed(part, error)
            raise
        self.outage.served(part)
        if part == "writes":
            self.outage.served("confirmations")
        return answered

    def _refuse_while_unavailable(self, answer: Awaitable[T]) -> None:
        try:
            self.breaker.check()
        except Unavailable:
            if close := getattr(answer, "close", None):
                close()  # Python warns of a coroutine that nobody awaits
            raise


def state_of(request: Request) -> State:
    """Return the state of the application of a request."""
    state: State = request.app.state.offload
    return state


async def _given(request: Request) -> State:  # async: FastAPI would send a plain function to a thread
    return state_of(request)


Given = Annotated[State, Depends(_given)]
