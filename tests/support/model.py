"""What the store's scripts promise, said again in a few lines of Python: the model that the model test compares with.

A job is a value; each verb says what becomes of it and what the caller is told. Nothing here knows of keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from offload.domain.fingerprints import fingerprint
from offload.domain.queues import BAND_MS

TERMINAL = ("succeeded", "dead", "aborted")
WAITING = ("deferred", "retrying")
CALLBACKS = "webhook"
CALLBACK_KEPT = 345_600_000  # how long a job with a callback is kept at least
LOST = 3_600_000  # how long a released job that is out of attempts is kept


@dataclass
class Job:
    """One job. `status` is None where only a stock producer knows of it; `score` is None when it is in no queue.

    `holder` is the token that stands, `token` the one of its last claim by a worker of ours.
    """

    queue: str
    status: str | None
    score: int | None
    enqueued: int
    due: int
    max_tries: int
    attempts: int = 0
    holder: str | None = None
    ends: int = 0
    token: str | None = None
    has_payload: bool = True
    expires: int | None = None
    result_until: int | None = None
    priority: int = 0
    unique: str | None = None
    unique_until: int = 0
    function: str | None = None
    tag: str | None = None
    has_callback: bool = False
    callbacks: int = 0
    errors: set[str] = field(default_factory=set)

    @property
    def worker(self) -> str | None:
        """The worker that claimed it last."""
        return self.token.rpartition(":")[0] if self.token else None

    @property
    def is_live(self) -> bool:
        """Whether a worker of ours holds it now."""
        return self.holder is not None and self.holder == self.token


@dataclass
class Model:
    """Every job by its id, what each worker holds, what each queue allows, and whom somebody asked to abort."""

    lease: int
    now: int
    jobs: dict[str, Job] = field(default_factory=dict)
    deadlines: dict[tuple[str, str], int] = field(default_factory=dict)  # (worker, job) → where renewal ends
    aborting: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    limits: dict[str, int] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)  # every ending for good, as (status, job)
    told: list[tuple[str, str]] = field(default_factory=list)  # (worker, message) about leases that were lost
    unique: dict[str, str] = field(default_factory=dict)  # the job that each unique key stands for
    unique_ends: dict[str, int] = field(default_factory=dict)  # where that job has ended: until when it still does

    def live(self, queue: str) -> int:
        """How many jobs of a queue workers of ours hold."""
        return sum(job.queue == queue and job.is_live for job in self.jobs.values())

    def room(self, queue: str) -> int:
        """How many more may run."""
        return max(0, self.limits.get(queue, 1000) - self.live(queue))

    def advance(self, ms: int) -> list[str]:
        """Let time pass; return the jobs whose lease ran out."""
        self.now += ms
        lapsed = [one for one, job in self.jobs.items() if job.holder is not None and job.ends <= self.now]
        for one in lapsed:
            self.jobs[one].holder = None
        for key in [key for key, until in self.unique_ends.items() if until <= self.now]:
            del self.unique[key], self.unique_ends[key]
        for one, job in list(self.jobs.items()):
            if job.result_until is not None and job.result_until <= self.now:
                job.result_until = None
                if job.status is None and job.score is None:
                    del self.jobs[one]
        return lapsed

    def enqueue(
        self,
        one: str,
        queue: str,
        due: int,
        max_tries: int,
        priority: int = 0,
        unique: str | None = None,
        unique_for: int = 0,
        tag: str | None = None,
        has_callback: bool = False,
    ) -> int | bytes:
        """Accept a job unless one of this id exists in any form, or its unique key has a job."""
        if one in self.jobs:
            return 0
        if holder := self._take_unique(one, unique):
            return holder.encode()
        due = due or self.now
        status = "deferred" if due > self.now else "queued"
        until = self.now + unique_for if unique_for else 0
        self.jobs[one] = Job(
            queue,
            status,
            self._place(due, priority),
            self.now,
            due,
            max_tries,
            priority=priority,
            unique=unique,
            unique_until=until,
            function="t.f",
            tag=tag,
            has_callback=has_callback,
        )
        return 1

    def _place(self, due: int, priority: int) -> int:
        """What is due stands before all of a lower priority; what is not by its time."""
        return due - priority * BAND_MS if due <= self.now else due

    def _take_unique(self, one: str, key: str | None) -> str | None:
        """Give a unique key to a job, or return the one that it stands for."""
        if key is None:
            return None
        holder = self.unique.get(key)
        job = self.jobs.get(holder or "")
        if holder != one and job is not None and job.status is not None and job.unique == key:  # noqa: SIM102
            if job.unique_until > self.now or job.score is not None:
                return holder
        self.unique[key] = one
        self.unique_ends.pop(key, None)
        return None

    def _leave_unique(self, one: str) -> int:
        """Let go of a job's key; return for how long it keeps others out all the same."""
        job = self.jobs[one]
        if job.unique is None or self.unique.get(job.unique) != one:
            return 0
        if job.unique_until > self.now:
            self.unique_ends[job.unique] = job.unique_until
            return job.unique_until - self.now
        del self.unique[job.unique]
        return 0

    def stock(self, one: str, queue: str, due: int) -> None:
        """A stock producer reuses an id as soon as neither payload nor result of it is left; it looks at no record."""
        job = self.jobs.setdefault(one, Job(queue, None, None, 0, due, 5))
        job.score, job.attempts, job.has_payload = due, 0, True

    def claim(
        self, worker: str, token: str, slots: int, queues: Sequence[str]
    ) -> list[tuple[str, int, str | None, bool]]:
        """Give due jobs by the order of queues, then of scores: `(id, attempt, lost worker, to be aborted)` each."""
        given = []
        for queue in queues:
            room = 0 if queue in self.paused else min(slots - len(given), self.room(queue))
            due = [(job.score, one) for one, job in self.jobs.items() if job.queue == queue and job.holder is None
                   and job.score is not None and job.score <= self.now]  # fmt: skip
            given += [self._take(one, worker, token) for _, one in sorted(due)[:room]]
        return given

    def _take(self, one: str, worker: str, token: str) -> tuple[str, int, str | None, bool]:
        job = self.jobs[one]
        if job.status is None or job.status in TERMINAL:  # of a stock producer, maybe under an id that ended here
            job.enqueued, job.due, job.expires, job.token, job.max_tries = self.now, job.score or 0, None, None, 5
            job.priority, job.unique = 0, None
            self._unlist(job)
        lost = job.worker if job.status == "running" else None
        if lost is not None:
            job.errors.add(lost_error(job.function))
            self.deadlines.pop((lost, one), None)
            if lost != worker:
                self.told.append((lost, f"lost {self.now} {one}"))
        job.status, job.holder, job.token = "running", token, token
        job.score = job.ends = self.now + self.lease
        job.attempts += 1
        self.deadlines[worker, one] = self.now + 30_000
        return one, job.attempts, lost, one in self.aborting

    def held(self, worker: str) -> list[str]:
        """What is on a worker's list, whether or not its leases still stand."""
        return [one for holder, one in self.deadlines if holder == worker]

    def renew(self, worker: str) -> tuple[set[str], set[str]]:
        """Extend what still stands, take up again what nobody took; return what was lost, and what is overdue."""
        lost, overdue = set(), set()
        for one in self.held(worker):
            job = self.jobs.get(one)
            is_ours = job is not None and job.status == "running" and job.worker == worker and job.score is not None
            if job is None or not is_ours or job.holder not in (None, job.token):
                lost.add(one)
            elif self.deadlines[worker, one] < self.now:
                overdue.add(one)
            elif job.holder is None and not self.room(job.queue):
                lost.add(one)  # another took its place in the limit
            else:
                job.holder, job.ends, job.score = job.token, self.now + self.lease, self.now + self.lease
        for one in lost:
            del self.deadlines[worker, one]
            self.told.append((worker, f"lost {self.now} {one}"))
        return lost, overdue

    def release(self, worker: str, culprit: str | None = None) -> tuple[set[str], set[str]]:
        """Give back what a dead worker held; what is out of attempts is dead. Only a known culprit's attempt counts."""
        given, dead = set(), set()
        for one in self.held(worker):
            del self.deadlines[worker, one]
            job = self.jobs.get(one)
            if job is None or not job.is_live or job.worker != worker:
                continue
            is_counted = culprit in (None, one)
            if is_counted:
                job.errors.add(lost_error(job.function))
            else:
                job.attempts -= 1
            if is_counted and job.attempts >= job.max_tries:
                self._end(one, "dead", LOST, 0)
                dead.add(one)
            else:
                self._wait(job, "queued", job.due)
                given.add(one)
        self.told = [(to, said) for to, said in self.told if to != worker]
        return given, dead

    def finish(self, one: str, token: str, verb: str, due: int, kept: int, keep: int, error: str = "") -> int:
        """Write how an attempt ended, unless another took the job; a lease that ran out alone does not count."""
        job = self.jobs.get(one)
        is_untaken = job is not None and job.holder is None and job.token == token and job.score is not None
        if job is None or (job.holder != token and not (is_untaken and job.status == "running")):
            return 0
        self.deadlines.pop((token.rpartition(":")[0], one), None)
        job.function = job.function or "t.f"
        job.errors |= {error} - {""}
        if verb == "requeued":
            job.attempts -= 1
            self._wait(job, "queued", due or job.due)
        elif verb == "retry":
            self._wait(job, "retrying" if due > self.now else "queued", due)
            job.due = due
        else:
            self._end(one, verb, kept, keep)
        return 1

    def abort(self, one: str, kept: int, keep: int) -> str:
        """Stop a job at once, or ask whoever holds it to."""
        job = self.jobs.get(one)
        if job is None or job.score is None:
            return job.status if job is not None and job.status in TERMINAL else "unknown"
        if job.holder is not None:
            self.aborting[one] = self.now
            return "aborting"
        if job.status is None or job.status in TERMINAL:
            job.enqueued, job.unique, job.priority = self.now, None, 0
            self._unlist(job)
        job.function = job.function or "t.f"
        if job.status == "running":
            self.deadlines.pop((job.worker or "", one), None)
        self._end(one, "aborted", kept, keep)
        return "aborted"

    def replay(self, one: str) -> str:
        """Run a job that ended badly again from its first attempt; have one that waits for its time run now."""
        job = self.jobs.get(one)
        if job is None or job.status is None:
            return "unknown"
        if job.status in ("dead", "aborted"):
            if job.score is not None:
                return "queued"  # a stock producer was first
            if holder := self._take_unique(one, job.unique):
                return f"held {holder}"
            job.attempts, job.has_payload, job.expires, job.result_until, job.token = 0, True, None, None, None
        elif job.status not in WAITING:
            return job.status
        elif job.score is None:
            return "expired"  # a stock worker ended it
        job.status, job.due, job.score = "queued", self.now, self._place(self.now, job.priority)
        return "queued"

    def promote(self) -> None:
        """Time alone makes a waiting job queued; listings look."""
        for job in self.jobs.values():
            if job.status in WAITING and job.due <= self.now:
                job.status = "queued"

    def prune(self, age: int) -> int:
        """Forget what has outlived its keep, and what a stock worker ended."""
        gone = [one for one, job in self.jobs.items() if job.expires is not None and job.expires <= self.now]
        gone += [
            one for one, job in self.jobs.items()
            if job.score is None and job.status is not None and job.status not in TERMINAL
        ]  # fmt: skip
        for one in gone:
            job = self.jobs[one]
            if job.status not in TERMINAL:
                self._leave_unique(one)
            if (
                job.score is not None or job.result_until is not None
            ):  # queued again by a stock producer: only the old record goes
                job.status, job.expires, job.token, job.priority, job.unique = None, None, None, 0, None
                self._unlist(job)
            else:
                del self.jobs[one]
        self.aborting = {one: at for one, at in self.aborting.items() if at > self.now - age}
        return len(gone)

    def forget(self, one: str) -> str:
        """Leave nothing of a job that has ended, by whomever."""
        job = self.jobs.get(one)
        if job is None:
            return "unknown"
        if job.score is not None:
            return job.status if job.status is not None and job.status not in TERMINAL else "queued"
        if job.status not in TERMINAL:
            self._leave_unique(one)  # a stock worker ended it, which knows of no keys
        del self.jobs[one]
        return "forgotten"

    def stock_holds(self, one: str) -> None:
        """A stock worker takes a job; its key lives long."""
        job = self.jobs[one]
        job.holder, job.ends, job.attempts = "1", self.now + 310_000, job.attempts + 1

    def stock_ends(self, one: str, keep: int) -> None:
        """A stock worker ends a job, in arq's keys only."""
        job = self.jobs[one]
        job.holder, job.score, job.attempts, job.has_payload = None, None, 0, False
        job.result_until = self.now + keep
        self.aborting.pop(one, None)

    def _unlist(self, job: Job) -> None:
        job.function, job.tag, job.errors, job.has_callback, job.callbacks = None, None, set(), False, 0

    def _wait(self, job: Job, status: str, score: int) -> None:
        job.status, job.score, job.holder, job.token = status, self._place(score, job.priority), None, None

    def _end(self, one: str, status: str, kept: int, keep: int) -> None:
        job = self.jobs[one]
        self.deadlines.pop((job.worker or "", one), None)
        kept = max(kept, self._leave_unique(one), CALLBACK_KEPT if job.has_callback else 0)
        job.status, job.score, job.holder, job.attempts = status, None, None, 0
        job.has_payload, job.expires = False, self.now + kept
        job.result_until = self.now + keep if keep else None
        self.aborting.pop(one, None)
        self.ended.append((status, one))
        if job.has_callback:
            self._call_back(one, job)

    def _call_back(self, one: str, job: Job) -> None:
        """Put the job in that tells of an end; no worker of the model serves its queue, so that it stays."""
        job.callbacks += 1
        while (told := f"callback:{one}:{job.callbacks}") in self.jobs:
            job.callbacks += 1
        self.jobs[told] = Job(CALLBACKS, "queued", self.now, self.now, self.now, 5, function="t.f")


def lost_error(function: str | None) -> str:
    """The fingerprint of an attempt that was lost with its worker."""
    return fingerprint(function or "", "WorkerLost", "")
