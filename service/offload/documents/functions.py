"""The documents of job functions.

Durations are seconds, or ms where the name says so.
"""

from typing import Any, Literal, TypeAlias

from typing_extensions import TypedDict

RunsIn: TypeAlias = Literal["loop", "thread", "process"]
MovableTo: TypeAlias = Literal["thread", "process"]
OverBudget: TypeAlias = Literal["warn", "fail"]


class BackoffDocument(TypedDict):
    """Wait a random share of `min(limit, base * factor ** (attempt - 1))` seconds between attempts."""

    base: float
    factor: float
    limit: float


class PolicyDocument(TypedDict):
    """The retry policy, and durations in seconds.

    `loop_budget_ms` is the time for which one step of an async job may hold the event loop; `over_budget` is the action
    on a longer step.
    """

    max_tries: int
    timeout: float
    keep_result: float
    retries_exceptions: bool
    backoff: BackoffDocument
    loop_budget_ms: float | None
    over_budget: OverBudget


class OverrideDocument(TypedDict):
    """The move of a job function away from the place that its code declares: new place, person, time."""

    runs_in: MovableTo
    by: str
    at: str | None


class FunctionDocument(TypedDict):
    """One job function; `arguments` and `result` are JSON schemas.

    `runs_in` is where it runs, by its code or by `override`, which is null if nobody moved it. `recent` counts its
    endings of the last 24 hours; `mean_ms` is the mean run time of the attempts that succeeded.
    """

    name: str
    description: str
    queue: str
    runs_in: RunsIn
    override: OverrideDocument | None
    arguments: dict[str, Any]
    result: dict[str, Any]
    policy: PolicyDocument
    recent: dict[str, int]
    mean_ms: float | None
    links: dict[str, str]


class FunctionList(TypedDict):
    """All job functions, by name."""

    items: list[FunctionDocument]
    next: None
