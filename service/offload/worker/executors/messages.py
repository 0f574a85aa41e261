"""Messages between a worker and one of its child processes, in both directions of their one pipe.

A call has a number. Notes and requests carry it, so that a thread which a job left behind cannot speak for the next
job. The work of a call and its end are pickled by themselves: if one of them cannot be read, that call fails alone.
"""

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offload.domain.artifacts import Artifact
from offload.domain.functions import EnqueueOptions
from offload.worker.context import AttemptInfo

# From the worker to its child.


@dataclass(slots=True)
class JobWork:
    """A job function by its import path, and its arguments, which the child checks."""

    module: str
    qualname: str
    attempt_info: AttemptInfo
    arguments: dict[str, Any]
    max_result_bytes: int


@dataclass(slots=True)
class StepWork:
    """One step of an async job."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(slots=True)
class Call:
    """Run some work; `work` is a pickled JobWork or StepWork."""

    number: int
    work: bytes


@dataclass(slots=True)
class Abort:
    """Let the running job see `ctx.aborted`."""


@dataclass(slots=True)
class Stop:
    """End the process; it runs nothing."""


@dataclass(slots=True)
class Answer:
    """The answer to a request: `content` is a pickled value, or a pickled exception where `is_error`."""

    request: int
    content: bytes
    is_error: bool


# From a child to its worker.


@dataclass(slots=True)
class Ready:
    """The process has started."""


@dataclass(slots=True)
class Note:
    """Progress or a log line."""

    call: int
    kind: str
    content: dict[str, Any]


@dataclass(slots=True)
class EnqueueJob:
    """Store a job; answered by its id."""

    function: str
    arguments: dict[str, Any]
    options: EnqueueOptions


@dataclass(slots=True)
class RegisterArtifact:
    """Store the description of a file that the child has written; answered by None."""

    artifact: Artifact


@dataclass(slots=True)
class FindArtifact:
    """Answered by the description of a file."""

    artifact_id: str


RequestContent = EnqueueJob | RegisterArtifact | FindArtifact


@dataclass(slots=True)
class Request:
    """A request; its caller waits since `asked_at`, by the monotonic clock that all processes of a machine share."""

    call: int
    number: int
    asked_at: float
    content: RequestContent


@dataclass(slots=True)
class Ended:
    """The end of a call: what it returned or raised, pickled, and its cost."""

    call: int
    content: bytes
    is_error: bool
    cpu_ns: int
    peak_rss: int


ToChild = Call | Abort | Stop | Answer
ToWorker = Ready | Note | Request | Ended


class RemoteTraceback(Exception):
    """Where in the other process an exception was raised; it is the cause of that exception."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n{self.text}"


def pickled(value: Any) -> bytes:
    """Pickle a value; raises what pickle raises where that is not possible."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpickled(content: bytes, *, is_error: bool) -> Any:
    """Return a value from the other process, or raise an exception from there."""
    value = pickle.loads(content)  # noqa: S301 - from a process of our own
    if is_error:
        error, text = value
        raise error from (RemoteTraceback(text) if text else None)
    return value


def pickled_error(error: BaseException) -> bytes:
    """Pickle an exception with the text of its traceback, so that the other process can raise an equal one.

    An error with a constructor that does not take its `args` is made without calling it. An error that cannot be
    pickled at all becomes a RuntimeError of its text.
    """
    text = "".join(traceback.format_exception(error)) if error.__traceback__ is not None else ""
    for candidate in (error, _Rebuilt(error)):
        try:
            content = pickled((candidate, text))
            back = pickle.loads(content)[0]  # noqa: S301 - pickled in the line before
        except Exception:  # noqa: BLE001, S112 - whatever a class raises, it does not pass in this way
            continue
        if type(back) is type(error) and str(back) == str(error):
            return content
    return pickled((RuntimeError(f"{type(error).__qualname__}: {error}"), text))


class _Rebuilt:
    """Pickles as an exception that is made without its constructor."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self._error), self._error.args, vars(self._error))


def _rebuild(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error
