"""Overrides: a person moves a job function at run time, against the place that its code declares.

Only a `def` can be moved, between a thread and a process: an `async def` is made of steps on the event loop.
"""

import sys
from dataclasses import dataclass, replace
from typing import Any

from offload.documents.functions import MovableTo, RunsIn
from offload.domain.errors import NotMovable
from offload.domain.functions import JobFunction


@dataclass(frozen=True, slots=True)
class Override:
    """The new place of a function, with the person who moved it and the time (ms since the epoch)."""

    runs_in: MovableTo
    by: str
    at_ms: int


def check_movable(function: JobFunction[Any, Any], runs_in: MovableTo) -> None:
    """Raise NotMovable where a function cannot run there; the message says what would work."""
    if function.is_plain:
        raise NotMovable(
            f"{function.name} is a plain arq function, which runs on the event loop: only a `def` with @job can be "
            "moved"
        )
    if function.runs_in == "loop":
        raise NotMovable(
            f"{function.name} is async def and runs on the event loop: only a `def` can be moved. Make it def, or run "
            f"the blocking step with `await ctx.to_{runs_in}(f, ...)`"
        )
    if runs_in == "process" and not _is_importable(function):
        module, path = function.import_path
        raise NotMovable(
            f"{function.name} cannot run in a process: a child does not find it as {path} in the module {module}; "
            "define it at the top of a module that can be imported, decorated with @job only"
        )


def with_override(function: JobFunction[Any, Any], override: Override | None) -> JobFunction[Any, Any]:
    """Return the function with an override applied; raises NotMovable."""
    if override is None or override.runs_in == function.runs_in:
        return function
    check_movable(function, override.runs_in)
    return replace(function, runs_in=override.runs_in)


def effective_runs_in(function: JobFunction[Any, Any], override: Override | None) -> RunsIn:
    """Return the place where a function runs; an override that became impossible, as its code changed, is ignored."""
    try:
        return with_override(function, override).runs_in
    except NotMovable:
        return function.runs_in


def _is_importable(function: JobFunction[Any, Any]) -> bool:
    module, path = function.import_path
    if module == "__main__":
        return False
    member: Any = sys.modules.get(module)
    for part in path.split("."):
        member = getattr(member, part, None)
    return isinstance(member, JobFunction) and member.fn is function.fn
