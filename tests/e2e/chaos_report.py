"""What a chaos run comes to: two witnesses, the records in Redis and the file of effects, are compared."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e2e.chaos import Plan

LEASE = 2.0
SLACK = 0.05  # seconds between an event and the moment that it is noted


@dataclass
class Attempt:
    """One attempt as its process told it; `group` is the process group, which is that of one `offload worker`."""

    job: str
    number: int
    started: float
    group: int
    claimed: float
    ended: float = float("inf")
    how: str = ""


@dataclass
class Deeds:
    """What was done to whom, and when (monotonic clock, which all processes share)."""

    killed: dict[int, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    stopped: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    redis: list[tuple[float, float]] = field(default_factory=list)

    def explain(self, first: Attempt, second: Attempt) -> bool:
        """Whether the first's lease may have been lost before the second was claimed: its worker or Redis was away."""
        absences = [*self.stopped[first.group], *self.redis]
        return any(began <= second.claimed + SLACK and first.claimed - SLACK <= ended for began, ended in absences)


def read(path: Path, deeds: Deeds) -> dict[str, list[Attempt]]:
    """Return the attempts of each job by their start; one whose process was killed ended then."""
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for line in path.read_text().splitlines():
        what, job, number, at, group, claimed = line.split()
        if what == "started":
            attempts[job].append(Attempt(job, int(number), float(at), int(group), float(claimed)))
            continue
        own = [one for one in attempts[job] if (one.number, one.group, one.how) == (int(number), int(group), "")]
        own[-1].ended, own[-1].how = float(at), what
    for one in (one for each in attempts.values() for one in each):
        died = [at for at, _ in deeds.killed[one.group] if one.started - SLACK <= at < one.ended]
        orphaned = [at for at, _ in deeds.killed[one.group] if one.claimed <= at < one.started]
        if died and not one.how:
            one.ended, one.how = min(died), "killed"
        elif orphaned and not one.how:  # a child that read its job as its worker died, and ended with the pipe
            one.ended, one.how = one.started, "orphaned"
    return {job: _in_order(each) for job, each in attempts.items()}


def _in_order(attempts: list[Attempt]) -> list[Attempt]:
    """Return the attempts of a job by their claims, which their numbers tell: an interrupted one is repeated.

    A job in a process notes its claim when it begins, which for one that waited for a process, or in a stopped worker,
    is later than the claim of the attempt after it.
    """
    ordered = sorted(attempts, key=lambda one: (one.number, one.claimed))
    for before, after in reversed(list(pairwise(ordered))):
        before.claimed = min(before.claimed, after.claimed)
    return ordered


@dataclass
class Report:
    """What two witnesses say of a run."""

    plan: "Plan"
    statuses: dict[str, str]
    attempts: dict[str, list[Attempt]]
    deeds: Deeds
    logged: Counter[Any]
    left: Counter[str]
    codes: list[int | None]
    took: float
    trouble: str = ""

    @property
    def lost(self) -> list[str]:
        """Accepted jobs that have not ended as they had to, or whose effect never happened."""
        return [job for job, status in self.statuses.items() if not self._is_right(job, status)]

    def _is_right(self, job: str, status: str) -> bool:
        is_dead = job.endswith("gives_up")
        seen = {one.how for one in self.attempts[job]}
        return status == ("dead" if is_dead else "succeeded") and ("gave_up" if is_dead else "completed") in seen

    def doubled(self) -> Iterator[tuple[Attempt, Attempt]]:
        """Yield attempts of one job, by their claims, that ran at the same time."""
        for each in self.attempts.values():
            for first, second in pairwise(each):
                if first.ended > second.started + SLACK and second.ended > first.started:
                    yield first, second

    def unexplained(self) -> list[tuple[Attempt, Attempt]]:
        """Return those where neither the first worker nor Redis was away: the engine's fault."""
        return [(one, two) for one, two in self.doubled() if not self.deeds.explain(one, two)]

    def completed_twice(self) -> int:
        """How many jobs did all their work more than once: their end was reached, but could not be recorded."""
        return sum(sum(one.how == "completed" for one in each) > 1 for each in self.attempts.values())

    def recovery(self, deed: str) -> list[float]:
        """Return, for each attempt that a deed cut off, the seconds until its job started again.

        Jobs in processes are left out: they wait for a process to start, and six at once for those of stopped workers.
        """
        return sorted(wait for wait, _, job in self._cut(deed) if not job.endswith("processes"))

    def _cut(self, deed: str) -> Iterator[tuple[float, float, str]]:
        cut = {(group, at) for group, killed in self.deeds.killed.items() for at, how in killed if how == deed}
        for each in self.attempts.values():
            for one in each:
                again = [other.started for other in each if other.started > one.ended]
                if one.how == "killed" and (one.group, one.ended) in cut and again:
                    yield min(again) - one.ended, one.ended, one.job

    def overrun(self) -> list[float]:
        """Return how long an attempt on the loop went on after its worker did, when it ran elsewhere by then."""
        found = []
        for first, second in self.doubled():
            on = [ended for began, ended in self.deeds.stopped[first.group] if began <= second.claimed <= ended]
            if on and first.job.endswith(("waits", "fails", "gives_up")) and first.ended != float("inf"):
                found.append(max(first.ended - max(on), 0.0))
        return sorted(found)

    @property
    def is_fine(self) -> bool:
        """Whether nothing was lost, nothing was left over, and nothing was run twice that need not have been."""
        is_clean = not self.left and not self.trouble and all(code == 0 for code in self.codes)
        return not self.lost and not self.unexplained() and is_clean

    def lines(self) -> Iterator[str]:
        """Yield the report line by line."""
        deeds, doubled = self.deeds, list(self.doubled())
        kills = Counter(how for each in deeds.killed.values() for _, how in each)
        stops = sorted(ended - began for each in deeds.stopped.values() for began, ended in each)
        yield f"seed {self.plan.seed}, {self.plan.workers} workers, lease {LEASE:g} s, appendfsync always"
        yield f"workers killed            {kills['kill']} alone, {kills['kill_all']} with their supervisor"
        yield f"workers stopped           {len(stops)}, for {spread(stops)}"
        yield f"Redis killed              {len(deeds.redis)}, away for {sum(b - a for a, b in deeds.redis):.1f} s"
        yield f"accepted                  {len(self.statuses)}"
        yield f"ended                     {dict(Counter(self.statuses.values()))}"
        yield f"attempts                  {sum(map(len, self.attempts.values()))}"
        yield f"lost                      {len(self.lost)}"
        yield f"started twice at once     {len(doubled)}, of which unexplained {len(self.unexplained())}"
        yield f"completed twice           {self.completed_twice()}"
        yield f"claims put back           {self.logged['claims_released']}"
        yield f"late finishes refused     {self.logged['finish_refused']}"
        yield f"recovery, worker killed   {spread(self.recovery('kill'))}"
        yield f"recovery, all killed      {spread(self.recovery('kill_all'))}"
        yield f"overrun after a stop      {spread(self.overrun())}"
        yield f"left over in Redis        {dict(self.left) or 'nothing'}"
        yield f"exit codes of workers     {self.codes}"
        yield f"took                      {self.took:.1f} s"
        slow = sorted(
            (wait, at, job) for deed in ("kill", "kill_all") for wait, at, job in self._cut(deed) if wait > 2 * LEASE
        )
        for wait, at, job in slow[-8:]:
            yield f"SLOW {job} cut at {at:.2f}, again after {wait:.2f} s; {self.attempts[job]}"
        if slow:
            yield f"DEEDS {dict(deeds.killed)} {dict(deeds.stopped)} {deeds.redis}"
        for job in self.lost[:20]:
            yield f"LOST {job}: {self.statuses[job]}; {self.attempts[job]}"
        for one, two in self.unexplained()[:20]:
            yield f"DOUBLED {one} and {two}"
        if self.trouble:
            yield f"CUT SHORT {self.trouble}"


def spread(seconds: list[float]) -> str:
    """Say p50, p99 and the most of sorted seconds."""
    if not seconds:
        return "none"
    p99 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))]
    return f"p50 {seconds[len(seconds) // 2]:.2f} s, p99 {p99:.2f} s, max {seconds[-1]:.2f} s ({len(seconds)})"
