"""What held an event loop, read from a stack: which line, and whose job, as far as that can be known.

Nobody is blamed on a guess: a job is named only where the stack or the lack of others leaves no doubt.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)')  # as faulthandler writes them
_STACK_LIMIT = 4000


@dataclass(frozen=True, slots=True)
class Suspect:
    """A job that ran on the worker when its loop was held."""

    id: str
    function: str | None
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a stack."""

    file: str
    line: int
    name: str

    @property
    def function(self) -> str:
        """What the job function of this frame would be called: the last part of its module, and its name."""
        return f"{PurePath(self.file).stem}.{self.name}"


def frames(stack: str) -> list[Frame]:
    """Return the frames of a stack that `faulthandler` wrote, innermost first; of one thread, the first that it has."""
    first_thread, _, _ = stack.strip().partition("\n\n")
    return [Frame(found["file"], int(found["line"]), found["name"]) for found in _FRAME.finditer(first_thread)]


def culprit(stack: Sequence[Frame], foreign: Sequence[str]) -> Frame | None:
    """Return the innermost frame of the user's code: of a file that lies under none of the `foreign` directories."""
    return next((frame for frame in stack if not frame.file.startswith((*foreign, "<"))), None)


def blamed(stack: Sequence[Frame], suspects: Sequence[Suspect]) -> Suspect | None:
    """Return the job whose function is on the stack; None where it may be several that nothing else tells apart."""
    on_stack = {frame.function for frame in stack}
    found = [one for one in suspects if one.function in on_stack]
    if not found and len(suspects) == 1:
        return suspects[0]  # its function may have a name of its own
    if len(found) > 1:
        found = [one for one in found if one.is_overdue]
    return found[0] if len(found) == 1 else None


def stuck(
    worker: str, held_s: float, stack: str, suspects: Sequence[Suspect], foreign: Sequence[str], code: str | None
) -> dict[str, Any]:
    """Return the record of a worker that was killed because its loop did not come back."""
    found = frames(stack)
    at, one = culprit(found, foreign), blamed(found, suspects)
    innermost = found[0] if found else None
    functions = {suspect.function for suspect in suspects if suspect.function in {frame.function for frame in found}}
    return {
        "kind": "step",
        "process": "worker",
        "worker": worker,
        "job_id": one.id if one else None,
        "function": one.function if one else functions.pop() if len(functions) == 1 else None,
        "route": None,
        "file": at.file if at else None,
        "line": at.line if at else None,
        "code": code,
        "callee": f"{innermost.name} ({PurePath(innermost.file).name})" if innermost and innermost != at else None,
        "held_ms": round(held_s * 1000),
        "stack": stack[:_STACK_LIMIT],
        "hint": _hint(at, code, held_s),
    }


def _hint(at: Frame | None, code: str | None, held_s: float) -> str:
    what = f"`{code}`" if code else "a step"
    where = f" in {'/'.join(PurePath(at.file).parts[-2:])}:{at.line}" if at else ""
    return (
        f"{what}{where} held the event loop {held_s:.1f} s, and its worker was killed: use an async library, "
        "`await ctx.to_thread(f, ...)` or `ctx.to_process`, or make the job function a `def`."
    )
