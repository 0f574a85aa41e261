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
    """When a failed attempt is tried again, and how long things take and last, in seconds.

    `loop_budget_ms` is how long one step of an async job may hold the event loop; over it, `over_budget` is done.
    """

    max_tries: int
    timeout: float
    keep_result: float
    retries_exceptions: bool
    backoff: BackoffDocument
    loop_budget_ms: float | None
    over_budget: OverBudget


class OverrideDocument(TypedDict):
    """Who had a job function run somewhere else than its code says, and since when."""

    runs_in: MovableTo
    by: str
    at: str | None


class FunctionDocument(TypedDict):
    """One job function; `arguments` and `result` are JSON schemas.

    `runs_in` is where it runs, by its code or by `override`, which is null where nobody moved it. `recent` counts its
    endings of the last 24 hours; `mean_ms` is for how long those attempts that succeeded ran.
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
