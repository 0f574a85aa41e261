"""Turns the return value or exception of a job function into an Outcome, in the same way wherever the function ran."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offload.domain.errors import (
    ErrorInfo,
    GiveUp,
    InvalidArguments,
    ResultNotSerializable,
    ResultTooLarge,
    Retry,
)
from offload.domain.functions import JobFunction
from offload.domain.policy import Outcome, Raised, RetryPolicy, Returned

_OURS = tuple(f"{Path(__file__).parents[1] / room}/" for room in ("worker", "loopwatch"))
_TRACEBACK_LIMIT = 16_000
_MESSAGE_LIMIT = 4_000


def returned(function: JobFunction[Any, Any], value: Any, max_bytes: int) -> Outcome:
    """Serialise a result; one that cannot be, or is over the limit, is a failure that another attempt would repeat."""
    try:
        result = function.result_type.to_json(value)
    except ResultNotSerializable as error:
        return Raised(describe(error), again=False, exception=error)
    if len(result) > max_bytes:
        msg = f"the result is {len(result):,} bytes, over the limit of {max_bytes:,}; return it as ctx.artifact(...)"
        return Raised(describe(ResultTooLarge(msg)), again=False)
    return Returned(result)


def raised(error: BaseException, policy: RetryPolicy) -> Raised:
    """Classify an exception: Retry and GiveUp decide by hand, for all others the policy does."""
    match error:
        case Retry():
            return Raised(describe(error), again=True, after=error.after, exception=error)
        case GiveUp() | InvalidArguments():
            return Raised(describe(error), again=False, exception=error)
        case _:
            return Raised(describe(error), again=policy.allows(error), exception=error)


def run_blocking(
    function: JobFunction[Any, Any], call: Callable[[], Any], policy: RetryPolicy, max_bytes: int
) -> Outcome:
    """Run a `def` job function to its end and return the outcome; raises nothing, not even SystemExit."""
    try:
        value = call()
    except BaseException as error:  # noqa: BLE001 - whatever a job function raises is classified
        return raised(error, policy)
    return returned(function, value, max_bytes)


def describe(error: BaseException) -> ErrorInfo:
    """Return an exception as data; the traceback starts at the user's own frames and never shows local variables."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS) and frames.tb_next is not None:
        frames = frames.tb_next
    lines = traceback.format_exception(type(error), error, frames)
    text = "".join(lines)
    name = type(error).__qualname__
    module = type(error).__module__
    full = name if module in ("builtins", "offload.domain.errors") else f"{module}.{name}"
    return ErrorInfo(full, str(error)[:_MESSAGE_LIMIT], text[-_TRACEBACK_LIMIT:])
