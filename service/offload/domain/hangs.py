"""What held an event loop until its worker was killed: which line, and whose job, as far as that can be known.

Nobody is blamed on a guess: a job is named where the step clock names it, or where the stack or the lack of others
leaves no doubt.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePath
from typing import Any

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)')  # as faulthandler writes them
_STACK_LIMIT = 4000


class Verdict(StrEnum):
    """How a process was found whose event loop did not come back, in words."""

    BLOCKED = "the event loop was blocked, while the interpreter was alive"
    GIL_HELD = "C code held the GIL: no other thread could run either"
    STOPPED = "the process was stopped, by a signal or a debugger"
    SILENT = "the process gave no sign of life, and no stack"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A job that ran on the worker when its loop was held; `is_known`: the step clock named it."""

    id: str
    function: str | None
    is_overdue: bool
    is_known: bool = False


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


@dataclass(frozen=True, slots=True)
class Found:
    """Who held the loop and where; `is_exact`: the step clock named the job, so no other is to blame."""

    verdict: Verdict
    held_s: float
    stack: str
    job_id: str | None = None
    function: str | None = None
    is_exact: bool = False
    at: Frame | None = None
    callee: str | None = None
    code: str | None = None

    def with_code(self, code: str) -> "Found":
        """Return this with the text of the line."""
        return replace(self, code=code or None)

    def sentence(self) -> str:
        """Say what held the loop, where, for how long, and how the process was found."""
        what = f"`{self.code}`" if self.code else "a step"
        where = f" in {'/'.join(PurePath(self.at.file).parts[-2:])}:{self.at.line}" if self.at else ""
        if self.verdict is Verdict.STOPPED:
            what, where = "nothing of its own", ""
        return f"{what}{where} held the event loop {self.held_s:.1f} s ({self.verdict})"

    def details(self) -> dict[str, Any]:
        """Return the same as data, for the error of the attempt."""
        known = {"file": self.at.file, "line": self.at.line} if self.at else {}
        culprit = {"held_by": self.job_id} if self.job_id else {}
        return {**culprit, **known, "held_ms": round(self.held_s * 1000), "verdict": str(self.verdict)}

    def record(self, worker: str) -> dict[str, Any]:
        """Return the record of the stall; a process that was stopped from outside had nothing to do with its jobs."""
        return {
            "kind": "starved" if self.verdict is Verdict.STOPPED else "step",
            "process": "worker",
            "worker": worker,
            "job_id": self.job_id,
            "function": self.function,
            "route": None,
            "file": self.at.file if self.at else None,
            "line": self.at.line if self.at else None,
            "code": self.code,
            "callee": self.callee,
            "held_ms": round(self.held_s * 1000),
            "stack": self.stack[:_STACK_LIMIT],
            "hint": f"{self.sentence()}, and its worker was killed{_INSTEAD[self.verdict]}.",
            "reason": str(self.verdict),
        }


_INSTEAD = {
    Verdict.BLOCKED: ": use an async library, `await ctx.to_thread(f, ...)` or `ctx.to_process`, or make the job "
    "function a `def`",
    Verdict.GIL_HELD: ': run it in a process, `await ctx.to_process(f, ...)` or `runs_in="process"`; a thread would '
    "not help",
    Verdict.STOPPED: "",
    Verdict.SILENT: "",
}


def frames(stack: str) -> list[Frame]:
    """Return the frames of a stack that `faulthandler` wrote, innermost first; of one thread, the first that it has."""
    first_thread, _, _ = stack.strip().partition("\n\n")
    return [Frame(found["file"], int(found["line"]), found["name"]) for found in _FRAME.finditer(first_thread)]


def culprit(stack: Sequence[Frame], foreign: Sequence[str]) -> Frame | None:
    """Return the innermost frame of the user's code: of a file that lies under none of the `foreign` directories."""
    return next((frame for frame in stack if not frame.file.startswith((*foreign, "<"))), None)


def blamed(stack: Sequence[Frame], suspects: Sequence[Suspect]) -> Suspect | None:
    """Return the job that the step clock named, or else the one whose function is on the stack.

    None where it may be several that nothing tells apart.
    """
    known = [one for one in suspects if one.is_known]
    if len(known) == 1:
        return known[0]
    on_stack = {frame.function for frame in stack}
    found = [one for one in suspects if one.function in on_stack]
    if not found and len(suspects) == 1 and stack:
        return suspects[0]  # its function may have a name of its own
    if len(found) > 1:
        found = [one for one in found if one.is_overdue]
    return found[0] if len(found) == 1 else None


def found(verdict: Verdict, held_s: float, stack: str, suspects: Sequence[Suspect], foreign: Sequence[str]) -> Found:
    """Say who held a loop and where, from the stack and from what the worker ran."""
    lines = frames(stack)
    at, one = culprit(lines, foreign), blamed(lines, suspects)
    innermost = lines[0] if lines else None
    functions = {suspect.function for suspect in suspects if suspect.function in {frame.function for frame in lines}}
    return Found(
        verdict,
        held_s,
        stack,
        one.id if one else None,
        one.function if one else functions.pop() if len(functions) == 1 else None,
        sum(suspect.is_known for suspect in suspects) == 1,
        at,
        f"{innermost.name} ({PurePath(innermost.file).name})" if innermost and innermost != at else None,
    )
