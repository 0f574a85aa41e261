"""Effects of calls as values: all of the SDK but `transport` and the clients works without a socket.

A plan is a generator. It yields an effect, is sent its outcome, and returns the answer of the call; a stream also
emits items. `Offload` and `OffloadSync` perform the same plans, one by awaiting, one by blocking.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `hold` is the time in seconds for which the service may hold its answer.

    `is_repeatable`: performed twice it has the effect of once, so it is sent again when its answer was lost.
    `done_when_repeated` are statuses which then mean that the first request had succeeded.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: float = 0
    is_repeatable: bool = True
    done_when_repeated: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the service; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Lost:
    """A request without an answer; `was_sent` is False if it cannot have reached the service."""

    why: str
    was_sent: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the outcome is a Reply or Lost."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and keep its answer open; the outcome is a Reply, complete unless its status is 200, or Lost."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Read on from the open answer; the outcome is bytes, None at its end, or Lost."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for a number of seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit(Generic[T_co]):
    """Give an item to the caller."""

    item: T_co


Effect: TypeAlias = Send | Open | Read | Pause
Plan: TypeAlias = Generator[Effect, Any, T]
Stream: TypeAlias = Generator[Effect | Emit[T], Any, None]
