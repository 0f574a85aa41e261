"""What the plans of calls ask of the outside, as values: the whole of the SDK but `wire` works without a socket.

A plan is a generator. It yields an effect, is sent what came of it, and returns the answer of the call; a stream emits
items besides. `Offload` and `OffloadSync` carry out the same plans, one by awaiting, one by blocking.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `hold` is how many seconds the service was asked to hold its answer.

    `is_repeatable` says that carrying it out twice does no more than once, so that it is sent again when the answer
    to it was lost. `done_when_repeated` are statuses that then mean that the first time had done it.
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
    """What the service answered; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came; `was_sent` is False where the service cannot have heard of the request."""

    why: str
    was_sent: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the plan is sent a Reply or Lost."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and keep its answer open; the plan is sent a Reply, whole where its status is not 200, or Lost."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Read on from what is open; the plan is sent bytes, None at the end, or Lost."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit(Generic[T_co]):
    """Hand an item to the caller."""

    item: T_co


Effect: TypeAlias = Send | Open | Read | Pause
Plan: TypeAlias = Generator[Effect, Any, T]
Stream: TypeAlias = Generator[Effect | Emit[T], Any, None]
