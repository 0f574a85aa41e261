"""Ending a worker that hangs, and finding out from outside, in its last tenth of a second, which step held its loop."""

import contextlib
import linecache
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offload.domain.hangs import HangReport, Suspect, Verdict, diagnose
from offload.loopwatch import step_clock
from offload.loopwatch.user_code import FOREIGN
from offload.worker.guardian.shared_page import SharedPage, mark_of

STUCK_AFTER_S = 1.0
"""Seconds without a beat that, with a job past its limit, make a worker stuck."""
_ANSWER_WAIT = 0.06  # for a sign of life; a thread that waits for the GIL gets it in 5 ms from Python code
_STACK_WAIT = 0.2
_LOOK_EVERY = 0.005
_DRIVER = (step_clock.__file__, step_clock.drive.__name__)


@dataclass(frozen=True, slots=True)
class Hang:
    """A loop that did not come back: state of the process, its stack, and the mark of the job in its step (0: none)."""

    verdict: Verdict
    held_s: float
    stack: str
    mark: int

    def report(self, running: Sequence[tuple[str, str | None]], overdue: Sequence[str]) -> HangReport:
        """Report the job and the line; `running` has ids and functions of the jobs that the worker runs."""
        suspects = [
            Suspect(job_id, function, job_id in overdue, bool(self.mark) and mark_of(job_id) == self.mark)
            for job_id, function in running
        ]
        report = diagnose(self.verdict, self.held_s, self.stack, suspects, FOREIGN)
        return report.with_code(linecache.getline(report.at.file, report.at.line).strip()) if report.at else report


def end_worker(pid: int, page: SharedPage, held_s: float) -> Hang:
    """Ask a worker with a held loop for its stack and a sign of life, and kill it.

    SIGTERM would be of no use, since its handler needs the loop. A process that is stopped cannot answer.
    """
    if _is_stopped(pid):
        _kill(pid)
        return Hang(Verdict.STOPPED, held_s, "", 0)
    asked = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        page.ask_for_stack(pid)
    stack, is_alive = "", False
    while (waited := time.monotonic() - asked) < _STACK_WAIT:
        time.sleep(_LOOK_EVERY)
        before, stack, is_alive = stack, page.stack(), page.has_answered()
        is_whole = stack and stack == before
        if is_whole and (is_alive or waited >= _ANSWER_WAIT):
            break
    step = page.step()
    _kill(pid)
    verdict = Verdict.BLOCKED if is_alive else Verdict.GIL_HELD if stack else Verdict.SILENT
    is_in_step = all(part in stack for part in (f'"{_DRIVER[0]}"', f" in {_DRIVER[1]}\n"))
    if not is_in_step:
        return Hang(verdict, held_s, stack, 0)
    return Hang(verdict, (asked * 1e9 - step.started_ns) / 1e9, stack, step.mark)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has died meanwhile
        os.kill(pid, signal.SIGKILL)


def _is_stopped(pid: int) -> bool:
    """Return True if a signal or a debugger has stopped the process; False where there is no /proc."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    return False
