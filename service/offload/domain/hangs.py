"""The cause of a hang: the line and the job that held an event loop until its worker was killed, as far as is known.

No job is named on a guess: it is named if the step clock names it, or if the stack, or the lack of other jobs, leaves
no doubt.
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
    """The state, in words, of a process with an event loop that did not come back."""

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
        """The name that a job function of this frame has by default: the last part of its module, and its own name."""
        return f"{PurePath(self.file).stem}.{self.name}"


@dataclass(frozen=True, slots=True)
class HangReport:
    """The job that held the loop, and the line; `is_exact`: the step clock named the job, so no other is to blame."""

    verdict: Verdict
    held_s: float
    stack: str
    job_id: str | None = None
    function: str | None = None
    is_exact: bool = False
    at: Frame | None = None
    callee: str | None = None
    code: str | None = None

    def with_code(self, code: str) -> "HangReport":
        """Return this with the text of the line."""
        return replace(self, code=code or None)

    def sentence(self) -> str:
        """Return a sentence: what held the loop, where, for how long, and the state of the process."""
        holder = f"`{self.code}`" if self.code else "a step"
        place = f" in {'/'.join(PurePath(self.at.file).parts[-2:])}:{self.at.line}" if self.at else ""
        if self.verdict is Verdict.STOPPED:
            holder, place = "nothing of its own", ""
        return f"{holder}{place} held the event loop {self.held_s:.1f} s ({self.verdict})"

    def details(self) -> dict[str, Any]:
        """Return the same as data, for the error of the attempt."""
        job = {"held_by": self.job_id} if self.job_id else {}
        place = {"file": self.at.file, "line": self.at.line} if self.at else {}
        return {**job, **place, "held_ms": round(self.held_s * 1000), "verdict": str(self.verdict)}

    def stall_record(self, worker: str) -> dict[str, Any]:
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
    """Return the frames of a stack that `faulthandler` wrote, innermost first; of several threads, only the first."""
    first_thread, _, _ = stack.strip().partition("\n\n")
    return [Frame(match["file"], int(match["line"]), match["name"]) for match in _FRAME.finditer(first_thread)]


def innermost_user_frame(stack: Sequence[Frame], foreign: Sequence[str]) -> Frame | None:
    """Return the innermost frame of the user's code: of a file outside the `foreign` directories."""
    return next((frame for frame in stack if not frame.file.startswith((*foreign, "<"))), None)


def responsible_job(stack: Sequence[Frame], suspects: Sequence[Suspect]) -> Suspect | None:
    """Return the job that the step clock named, or else the one with its function on the stack.

    None if several jobs are possible and nothing tells them apart.
    """
    named = [suspect for suspect in suspects if suspect.is_known]
    if len(named) == 1:
        return named[0]
    functions = {frame.function for frame in stack}
    on_stack = [suspect for suspect in suspects if suspect.function in functions]
    if not on_stack and len(suspects) == 1 and stack:
        return suspects[0]  # its function may have a name of its own
    if len(on_stack) > 1:
        on_stack = [suspect for suspect in on_stack if suspect.is_overdue]
    return on_stack[0] if len(on_stack) == 1 else None


def diagnose(
    verdict: Verdict, held_s: float, stack: str, suspects: Sequence[Suspect], foreign: Sequence[str]
) -> HangReport:
    """Return the job that held a loop, and the line, from the stack and the running jobs."""
    lines = frames(stack)
    at, job = innermost_user_frame(lines, foreign), responsible_job(lines, suspects)
    innermost = lines[0] if lines else None
    on_stack = {frame.function for frame in lines}
    functions = {suspect.function for suspect in suspects if suspect.function in on_stack}
    return HangReport(
        verdict,
        held_s,
        stack,
        job.id if job else None,
        job.function if job else functions.pop() if len(functions) == 1 else None,
        sum(suspect.is_known for suspect in suspects) == 1,
        at,
        f"{innermost.name} ({PurePath(innermost.file).name})" if innermost and innermost != at else None,
    )
