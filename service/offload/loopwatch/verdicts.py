"""From what was seen since the last time to the stalls there were: a function of values alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from offload.loopwatch.beat import COUNTS_SWITCHES, Beat
from offload.loopwatch.judge import Evidence, judge
from offload.loopwatch.samples import Sample
from offload.loopwatch.stall import Stall
from offload.loopwatch.step_clock import Slow


class Late(NamedTuple):
    """That the watchdog woke late, and how often it gave up its processor meanwhile."""

    at_ns: int
    late_ns: int
    switches: int


class Waited(NamedTuple):
    """How long the loop's thread had waited for a processor in all, by some time."""

    at_ns: int
    total_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """All that happened between the first and the last of the beats; `startup_ns` is when the start was over."""

    beats: Sequence[Beat]
    slow: Sequence[Slow]
    samples: Sequence[Sample]
    lates: Sequence[Late]
    waits: Sequence[Waited]
    limit_ns: int
    startup_ns: int = 0


def stalls(seen: Seen) -> Iterator[Stall]:
    """Yield what held the loop: steps, and what made a beat late that no step accounts for."""
    for slow in seen.slow:
        ended = slow.started_ns + slow.held_ns
        before = next((b for b in reversed(seen.beats) if b.at_ns <= slow.started_ns), seen.beats[0])
        after = next((b for b in seen.beats if b.at_ns >= ended), seen.beats[-1])
        samples = [one for one in seen.samples if one.step == slow.step]
        evidence = _evidence(seen, slow.held_ns, slow.started_ns, ended, before, after)
        yield Stall(judge(evidence, slow, samples), slow.scope, slow.held_ns, ended, samples, evidence)
    for before, after in pairwise(seen.beats):
        late_ns = after.at_ns - after.due_ns
        covered = sum(one.held_ns for one in seen.slow if before.at_ns <= one.started_ns <= after.at_ns)
        if late_ns < seen.limit_ns or covered >= late_ns // 2:
            continue
        samples = [one for one in seen.samples if before.at_ns <= one.at_ns <= after.at_ns]
        evidence = _evidence(seen, late_ns, after.due_ns, after.at_ns, before, after)
        kind = judge(evidence, None, samples, is_startup=before.at_ns < seen.startup_ns)
        yield Stall(kind, None, late_ns, after.at_ns, samples, evidence)


def _evidence(seen: Seen, held_ns: int, began_ns: int, ended_ns: int, before: Beat, after: Beat) -> Evidence:
    late = worst(seen.lates, began_ns, ended_ns)
    cpu_ns = after.cpu_ns - before.cpu_ns
    return Evidence(
        held_ns=held_ns,
        gap_ns=after.at_ns - before.at_ns,
        limit_ns=seen.limit_ns,
        cpu_ns=cpu_ns,
        switches=after.switches - before.switches,
        gc_ns=after.gc_ns - before.gc_ns,
        busy_ns=after.busy_ns - before.busy_ns,
        others_cpu_ns=after.process_ns - before.process_ns - cpu_ns,
        waited_ns=_waited(seen.waits, began_ns),
        watchdog_late_ns=late.late_ns,
        watchdog_switches=late.switches if COUNTS_SWITCHES else -1,
    )


def _waited(waits: Sequence[Waited], began_ns: int) -> int:
    """Return how long was waited since something began, or a little before: since the last look until then."""
    before = next((one for one in reversed(waits) if one.at_ns <= began_ns), waits[0])
    return waits[-1].total_ns - before.total_ns


def worst(lates: Sequence[Late], began_ns: int, ended_ns: int) -> Late:
    """Return the longest time for which the watchdog was kept from looking while something lasted."""
    within = [one for one in lates if one.at_ns > began_ns and one.at_ns - one.late_ns < ended_ns]
    return max(within, key=lambda one: one.late_ns, default=Late(0, 0, 0))
