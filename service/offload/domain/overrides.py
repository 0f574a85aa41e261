"""Where a job function runs by somebody's word at run time, in place of what its code says.

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
    """Who moved a function where, and when (ms since the epoch)."""

    runs_in: MovableTo
    by: str
    at_ms: int


def check_movable(function: JobFunction[Any, Any], runs_in: MovableTo) -> None:
    """Raise NotMovable where a function cannot run there; it says what would be right."""
    if function.is_plain:
        raise NotMovable(
            f"{function.name} is a plain arq function, which runs on the event loop: only a `def` with @job can be "
            "moved"
        )
    if function.runs_in == "loop":
        raise NotMovable(
            f"{function.name} is async def and runs on the event loop: only a `def` can be moved. Make it def, or send "
            f"the step that blocks away with `await ctx.to_{runs_in}(f, ...)`"
        )
    if runs_in == "process" and not _is_importable(function):
        module, path = function.import_path
        raise NotMovable(
            f"{function.name} cannot run in a process: a child does not find it as {path} in the module {module}; "
            "it must stand at the top of a module that can be imported, as @job left it"
        )


def with_override(function: JobFunction[Any, Any], override: Override | None) -> JobFunction[Any, Any]:
    """Return the function as it runs; raises NotMovable."""
    if override is None or override.runs_in == function.runs_in:
        return function
    check_movable(function, override.runs_in)
    return replace(function, runs_in=override.runs_in)


def effective_runs_in(function: JobFunction[Any, Any], override: Override | None) -> RunsIn:
    """Return where a function runs; an override that cannot hold, since its code has changed, does not."""
    try:
        return with_override(function, override).runs_in
    except NotMovable:
        return function.runs_in


def _is_importable(function: JobFunction[Any, Any]) -> bool:
    module, path = function.import_path
    if module == "__main__":
        return False
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return isinstance(found, JobFunction) and found.fn is function.fn
