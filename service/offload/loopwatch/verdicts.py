"""Derives the stalls from what was observed between two beats: a function of values alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from offload.documents.stalls import StallKind
from offload.loopwatch.judge import Evidence, judge
from offload.loopwatch.loop_state import COUNTS_SWITCHES, Beat
from offload.loopwatch.samples import Sample
from offload.loopwatch.step_clock import Scope, SlowStep
from offload.loopwatch.suspects import Suspect


@dataclass(slots=True)
class Stall:
    """One stall as it was measured; `describe` turns it into a record.

    `samples` name the line, if any was taken during the stall. A stall with `is_over` false lasts.
    """

    kind: StallKind
    scope: Scope | None
    held_ns: int
    ended_ns: int
    samples: list[Sample]
    evidence: Evidence
    suspects: list[Suspect] = field(default_factory=list)
    is_over: bool = True


class Late(NamedTuple):
    """One late wake-up of the watchdog, and how often it gave up its processor meanwhile."""

    at_ns: int
    late_ns: int
    switches: int


class Waited(NamedTuple):
    """Total wait of the loop's thread for a processor, by some time."""

    at_ns: int
    total_ns: int


@dataclass(frozen=True, slots=True)
class Window:
    """Everything observed between the first and the last of some beats; the start-up was over at `startup_ns`."""

    beats: Sequence[Beat]
    slow: Sequence[SlowStep]
    samples: Sequence[Sample]
    lates: Sequence[Late]
    waits: Sequence[Waited]
    limit_ns: int
    startup_ns: int = 0


def stalls(window: Window) -> Iterator[Stall]:
    """Yield the slow steps, and the late beats that no slow step accounts for."""
    for slow in window.slow:
        ended = slow.started_ns + slow.held_ns
        before = next((b for b in reversed(window.beats) if b.at_ns <= slow.started_ns), window.beats[0])
        after = next((b for b in window.beats if b.at_ns >= ended), window.beats[-1])
        samples = [sample for sample in window.samples if sample.step == slow.step]
        evidence = _evidence(window, slow.held_ns, slow.started_ns, ended, before, after)
        yield Stall(judge(evidence, slow, samples), slow.scope, slow.held_ns, ended, samples, evidence)
    for before, after in pairwise(window.beats):
        late_ns = after.at_ns - after.due_ns
        covered = sum(slow.held_ns for slow in window.slow if before.at_ns <= slow.started_ns <= after.at_ns)
        if late_ns < window.limit_ns or covered >= late_ns // 2:
            continue
        samples = [sample for sample in window.samples if before.at_ns <= sample.at_ns <= after.at_ns]
        evidence = _evidence(window, late_ns, after.due_ns, after.at_ns, before, after)
        kind = judge(evidence, None, samples, is_startup=before.at_ns < window.startup_ns)
        yield Stall(kind, None, late_ns, after.at_ns, samples, evidence)


def _evidence(window: Window, held_ns: int, began_ns: int, ended_ns: int, before: Beat, after: Beat) -> Evidence:
    late = longest_lateness(window.lates, began_ns, ended_ns)
    cpu_ns = after.cpu_ns - before.cpu_ns
    return Evidence(
        held_ns=held_ns,
        gap_ns=after.at_ns - before.at_ns,
        limit_ns=window.limit_ns,
        cpu_ns=cpu_ns,
        switches=after.switches - before.switches,
        gc_ns=after.gc_ns - before.gc_ns,
        busy_ns=after.busy_ns - before.busy_ns,
        others_cpu_ns=after.process_ns - before.process_ns - cpu_ns,
        waited_ns=_waited(window.waits, began_ns),
        watchdog_late_ns=late.late_ns,
        watchdog_switches=late.switches if COUNTS_SWITCHES else -1,
    )


def _waited(waits: Sequence[Waited], began_ns: int) -> int:
    """Return the wait for a processor since the last reading before a stall began."""
    before = next((wait for wait in reversed(waits) if wait.at_ns <= began_ns), waits[0])
    return waits[-1].total_ns - before.total_ns


def longest_lateness(lates: Sequence[Late], began_ns: int, ended_ns: int) -> Late:
    """Return the wake-up of the watchdog that was late by most, of those during a stall."""
    within = [late for late in lates if late.at_ns > began_ns and late.at_ns - late.late_ns < ended_ns]
    return max(within, key=lambda late: late.late_ns, default=Late(0, 0, 0))
