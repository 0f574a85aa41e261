"""Kill, stop and starve workers, and Redis, under load; then count what every job did. `make chaos` runs it.

Real `offload worker` processes with a short lease on a real Redis that writes each command to disk before it answers
(`appendfsync always`: a killed server loses nothing that it acknowledged; with the embedded server's `everysec` a power
cut, but no kill, may lose a second). Two witnesses are compared: the records in Redis, and a file to which each attempt
appends what it does (`chaos_jobs`). The exit code is 1 when an accepted job was lost, or ended otherwise than it had
to, or ran twice at once where nobody had stopped its worker or Redis. Whatever else goes wrong, a signal to the
program included, is told in a report of what is known until then, also with 1; with 2 where not even that can be made.
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [one for one in (str(HERE), str(HERE.parent)) if one not in sys.path]

from chaos_report import LEASE, Deeds, Report, read  # noqa: E402

from offload.client import Request  # noqa: E402
from offload.domain.errors import Unavailable  # noqa: E402
from offload.domain.functions import EnqueueOptions  # noqa: E402
from offload.loader import load  # noqa: E402
from offload.store.connection.connection import reaching_redis  # noqa: E402
from support.engine import WorkerProcess, bench_on, offload_worker  # noqa: E402
from support.server import Server, restartable  # noqa: E402

AT_ONCE = 50  # jobs that one worker runs at once, and about as many again wait: what is given back starts at once
ENDED = ("succeeded", "dead", "aborted")
DEEDS = ("kill", "stop", "kill_all")
BOOT = 1.5  # seconds from a worker's process to its first claim, about
STANDSTILL = 15 * LEASE  # when no job has ended for so many seconds none will
SUCCESSOR_S = 30.0  # within which a killed worker must have one


@dataclass(frozen=True)
class Plan:
    """What a run is to be; the seed decides about everything but time."""

    seed: int = 1
    jobs: int = 20_000
    seconds: float = 120.0
    workers: int = 3

    def request(self, number: int) -> Request:
        """Return the job of that number: most wait a little, some fail, a few hold the loop for up to two leases."""
        chance = random.Random(f"{self.seed} {number}")
        seconds = round(chance.uniform(0, 0.1) if chance.random() < 0.9 else chance.uniform(0.2, 2 * LEASE), 3)
        args: dict[str, Any] = {"seconds": seconds}
        if number % 307 == 100:
            name, args["seconds"] = "holds", chance.uniform(0.2, 2 * LEASE)
        elif number % 509 == 200:
            name, args["seconds"] = "grips", chance.uniform(0.2, 1.5 * LEASE)
        else:
            names = ["waits", "fails", "gives_up", "threads", "processes"]
            [name] = chance.choices(names, weights=[78, 10, 2, 5, 5])
        if name == "fails":
            args |= {"times": chance.randint(1, 3), "seconds": min(seconds, 0.2)}
        return Request(f"chaos.{name}", args, EnqueueOptions(job_id=f"{number}-{name}"))


class Run:
    """One run of the plan."""

    def __init__(self, plan: Plan, server: Server, directory: Path) -> None:
        self.plan, self.server, self.directory = plan, server, directory
        self.deeds = Deeds()
        self.workers: list[WorkerProcess] = []
        self.past: list[WorkerProcess] = []
        self.accepted: list[str] = []
        self.ended = 0
        self.trouble = ""
        self._chance = random.Random(plan.seed)
        self._busy: set[int] = set()

    async def run(self) -> Report:
        """Feed, wreck, wait until all has ended or nothing moves any more, and report."""
        began = time.monotonic()
        shutil.copy(HERE / "chaos_jobs.py", self.directory)
        (self.directory / "effects").touch()
        self.workers = [self._spawn() for _ in range(self.plan.workers)]
        try:
            async with bench_on(self.server.url, self.directory / "artifacts", load(["chaos_jobs"])) as bench:
                self.bench = bench
                try:
                    await self._until(lambda n: n >= self.plan.workers, bench.redis.zcard, "offload:workers")
                    await self._storm()
                    await self._all_ended()
                except (Exception, asyncio.CancelledError):  # noqa: BLE001 - told in the report
                    self.trouble = traceback.format_exc()
                codes = [await self._stop(worker) for worker in self.workers]
                return await self._report(time.monotonic() - began, codes)
        finally:
            for worker in [*self.workers, *self.past]:
                worker.close()

    def _spawn(self) -> WorkerProcess:
        about = {"lease_seconds": LEASE, "max_jobs": AT_ONCE, "log_level": "WARNING", "keep_result": 86_400}
        return offload_worker(self.server.url, self.directory, ["chaos_jobs"], **about)

    async def _until(self, holds: Callable[[int], bool], ask: Callable[..., Any], *args: Any) -> None:
        async with asyncio.timeout(60):
            while not holds(await ask(*args)):  # noqa: ASYNC110 - it is Redis that changes
                await asyncio.sleep(0.02)

    async def _storm(self) -> None:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            wrecking = group.create_task(self._wreck())
            await self._feed()
            await wrecking
            watching.cancel()

    async def _feed(self) -> None:
        """Put jobs in, spread over the seconds of the plan, and never more than the workers run at once."""
        began, most = time.monotonic(), AT_ONCE * self.plan.workers
        moved, ended = began, 0
        while (n := len(self.accepted)) < self.plan.jobs:
            due = self.plan.jobs * (time.monotonic() - began) / self.plan.seconds
            room = min(20, self.plan.jobs - n, int(due) - n, most - (n - self.ended))
            if self.ended != ended or ended == n:
                moved, ended = time.monotonic(), self.ended
            elif time.monotonic() - moved > STANDSTILL:
                raise RuntimeError(f"no job has ended for {STANDSTILL:g} s; {n} were put in, {ended} have ended")
            if room <= 0:
                await asyncio.sleep(0.005)
                continue
            requests = [self.plan.request(n + i) for i in range(room)]
            try:
                stored = await self.bench.client.enqueue_many(requests)
            except Unavailable:  # whether they were stored is unknown: the same ids again
                await asyncio.sleep(0.05)
            else:
                self.accepted += [one.id for one in stored]

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(Unavailable), reaching_redis():
                self.ended = sum([await self.bench.redis.zcard(f"offload:jobs:{status}") for status in ENDED])
            await asyncio.sleep(0.02)

    async def _wreck(self) -> None:
        """Do one deed after another, and in the middle kill Redis."""
        began, deeds = time.monotonic(), list(DEEDS)
        every = max(1.5, self.plan.seconds / 40)
        middle = self.plan.seconds / 2
        async with asyncio.TaskGroup() as group:
            for number in range(int(self.plan.seconds * 0.95 / every)):
                await asyncio.sleep(self._chance.uniform(0.5, 1.5) * every)
                if time.monotonic() - began > middle and not self.deeds.redis:
                    await self._restart_redis()
                free = [i for i in range(len(self.workers)) if i not in self._busy]
                if len(free) > 1:  # one at least goes on: recovery is a matter of whoever is there
                    slot, deed = self._chance.choice(free), deeds[number % len(deeds)]
                    self._busy.add(slot)
                    group.create_task(self._do(slot, deed))

    async def _do(self, slot: int, deed: str) -> None:
        worker = self.workers[slot]
        group, killed = worker.process.pid, set(worker.children())
        if deed == "stop":
            seconds = self._chance.uniform(1.2, 2.5) * LEASE
            worker.signal_all(signal.SIGSTOP)
            began = time.monotonic()
            await asyncio.sleep(seconds)
            worker.signal_all(signal.SIGCONT)
            self.deeds.stopped[group].append((began, time.monotonic()))
        elif deed == "kill_all":
            worker.signal_all(signal.SIGKILL)
            self.deeds.killed[group].append((time.monotonic(), deed))
            self.past.append(worker)
            worker = self.workers[slot] = self._spawn()
        else:
            for pid in killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.deeds.killed[group].append((time.monotonic(), deed))
        if deed != "stop":  # until its successor is about to claim
            async with asyncio.timeout(SUCCESSOR_S):
                while set(worker.children()) <= killed:
                    if (code := worker.process.poll()) is not None:
                        raise RuntimeError(f"a supervisor ended by itself, with {code}: {worker.log[-5:]}")
                    await asyncio.sleep(0.05)
            await asyncio.sleep(BOOT)
        self._busy.discard(slot)

    async def _restart_redis(self) -> None:
        began = time.monotonic()
        await asyncio.to_thread(self.server.kill)
        await asyncio.sleep(self._chance.uniform(0.1, 1.0))
        await asyncio.to_thread(self.server.start)
        self.deeds.redis.append((began, time.monotonic()))

    async def _all_ended(self) -> None:
        """Return when every job has ended, or when none has for long."""
        watching = asyncio.create_task(self._watch())
        moved, ended = time.monotonic(), -1
        while self.ended < len(self.accepted) and time.monotonic() - moved < STANDSTILL:
            if self.ended != ended:
                moved, ended = time.monotonic(), self.ended
            await asyncio.sleep(0.05)
        watching.cancel()

    @staticmethod
    async def _stop(worker: WorkerProcess) -> int | None:
        worker.kill(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return await worker.ended(30)
        return None

    async def _report(self, took: float, codes: list[int | None]) -> Report:
        redis = self.bench.redis
        pipe = redis.pipeline(transaction=False)
        for one in self.accepted:
            pipe.hget(f"offload:job:{one}", "status")
        statuses = [row.decode() if row else "gone" for row in await pipe.execute()]
        left = Counter[str]()
        for pattern in ("arq:job:*", "arq:in-progress:*", "arq:retry:*", "arq:queue*"):
            left[pattern] = len([key async for key in redis.scan_iter(match=pattern, count=10_000)])
        logged = Counter(line.get("event") for worker in [*self.workers, *self.past] for line in worker.log)
        attempts = read(self.directory / "effects", self.deeds)
        ended = dict(zip(self.accepted, statuses, strict=True))
        return Report(self.plan, ended, attempts, self.deeds, logged, +left, codes, took, self.trouble)


def chaos(plan: Plan) -> Report:
    """Run a plan from nothing and return what came of it."""
    files = TemporaryDirectory(prefix="offload-chaos-", ignore_cleanup_errors=True)  # not at the cost of the report
    with restartable() as server, files as directory:
        return asyncio.run(Run(plan, server, Path(directory)).run())


def main() -> int:
    """Run what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--jobs", type=int, default=Plan.jobs)
    parser.add_argument("--seconds", type=float, help="over which the jobs are spread (default: 170 jobs a second)")
    parser.add_argument("--workers", type=int, default=Plan.workers)
    given = parser.parse_args()
    heed_signals()
    try:
        report = chaos(Plan(given.seed, given.jobs, given.seconds or given.jobs / 170, given.workers))
        print("\n".join(report.lines()), flush=True)
    except BaseException:  # noqa: BLE001 - whatever it was, it is told
        print(f"NO REPORT of seed {given.seed}:\n{traceback.format_exc()}", flush=True)
        return 2
    return 0 if report.is_fine else 1


def heed_signals() -> None:
    """Have every signal that ends a program be as Ctrl-C, which asyncio turns into a cancellation of the run.

    A run in a shell's background ignores Ctrl-C itself, and `timeout` or a closed terminal would end it without a word.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


if __name__ == "__main__":
    sys.exit(main())
