"""The store's scripts with a clock of the test's own: nothing waits for time to pass, it is moved on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from offload.domain.states import Status
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.script_arguments import NAMED

START = 1_700_000_000_000
LEASE = 10_000
SECOND = 1000


@dataclass
class Taken:
    """A claimed job as the script answers it."""

    id: str
    queue: str
    attempt: int
    payload: bytes | None
    enqueued: int
    due: int
    options: bytes
    function: str
    lost: str | None
    aborted: bool
    token: str


@dataclass
class Got:
    """What one claim brought."""

    jobs: list[Taken]
    next_due: int
    left: bool
    aborts: list[str]

    @property
    def ids(self) -> list[str]:
        """The ids of the jobs, in the order of the claim."""
        return [job.id for job in self.jobs]


@dataclass
class Clockwork:
    """Calls scripts at `now`."""

    redis: Any
    now: int = START
    sequence: dict[str, int] = field(default_factory=dict)

    async def run(self, name: str, *args: Any) -> Any:
        """Run a script at the time of the test."""
        names = NAMED[name][1:]
        return await scripts.run(
            self.redis, name, *args[len(names) :], now=self.now, **dict(zip(names, args, strict=False))
        )

    async def enqueue(self, *ids: str, queue: str = "default", due: int = 0, **fields: Any) -> list[int]:
        """Put jobs in; return 1 or 0 for each."""
        flat = [part for pair in {"function": "t.f", **fields}.items() for part in pair]
        argv = [part for one in ids for part in (one, queue, due, b"payload of " + one.encode(), len(flat), *flat)]
        now, *created = await self.run("enqueue", *argv)
        assert now == self.now
        return list(created)

    async def stock(self, *ids: str, queue: str = "default", due: int | None = None) -> None:
        """Put jobs in as a stock producer does: no record, nobody woken, a payload that expires."""
        for one in ids:
            await self.redis.psetex(keys.ARQ_JOB + one, 86_400_000, b"payload of " + one.encode())
            await self.redis.zadd(keys.queue_key(queue), {one: self.now if due is None else due})

    async def held_by_stock(self, *ids: str) -> None:
        """Have a stock worker hold jobs: it sets a key of its own and leaves the score."""
        for one in ids:
            await self.redis.psetex(keys.ARQ_IN_PROGRESS + one, 310_000, b"1")

    async def ended_by_stock(self, *ids: str, queue: str = "default") -> None:
        """Have a stock worker end jobs, in arq's keys only."""
        for one in ids:
            await self.redis.delete(keys.ARQ_JOB + one, keys.ARQ_IN_PROGRESS + one, keys.ARQ_RETRY + one)
            await self.redis.zrem(keys.queue_key(queue), one)
            await self.redis.zrem(keys.ARQ_ABORT, one)
            await self.redis.psetex(keys.ARQ_RESULT + one, 3_600_000, b"result")

    async def claim(
        self,
        worker: str = "w1",
        slots: int = 10,
        queues: Sequence[str | tuple[str, int]] = ("default",),
        timeout: int = 300_000,
        grace: int = 5000,
    ) -> Got:
        """Claim as a worker does."""
        number = self.sequence[worker] = self.sequence.get(worker, 0) + 1
        flat = [part for one in queues for part in (one if isinstance(one, tuple) else (one, 1000))]
        now, next_due, left, jobs, aborts = await self.run("claim", worker, number, LEASE, slots, timeout, grace, *flat)
        assert now == self.now
        taken = [
            Taken(
                job[0].decode(), job[1].decode(), job[2], job[3], int(job[4]), int(float(job[5])), job[6],
                job[7].decode(), job[8].decode() if job[8] else None, job[9] == 1, f"{worker}:{number}",
            )
            for job in jobs
        ]  # fmt: skip
        return Got(taken, next_due, left == 1, [one.decode() for one in aborts])

    async def claim_one(self, worker: str = "w1", **about: Any) -> Taken:
        """Claim, and return the one job that came."""
        got = await self.claim(worker, **about)
        assert len(got.jobs) == 1
        return got.jobs[0]

    async def finish(self, verb: str, *jobs: Taken, worker: str | None = None, **about: Any) -> list[int]:
        """Write how attempts ended; return 1 or 0 for each."""
        argv: list[Any] = []
        for job in jobs:
            argv += [job.id, job.token, verb, about.get("result", b"result"), about.get("keep", 60_000)]
            argv += [about.get("kept", 3_600_000), about.get("due", 0), about.get("failed", b""), "t.f"]
            argv += [
                json.dumps(about.get("fields", [])),
                about.get("fingerprint", b""),
                about.get("loop", ""),
                about.get("over_budget", 0),
            ]
        written = await self.run("finish", worker or jobs[0].token.rpartition(":")[0], *argv)
        return list(written)

    async def abort(
        self, *ids: str, queues: Sequence[str] = ("default",), result: bytes = b"cancelled",
        keep: int = 60_000, kept: int = 3_600_000,
    ) -> list[str]:  # fmt: skip
        """Abort jobs; return what was said of each."""
        each = [part for one in ids for part in (one, result, "t.f")]
        return [one.decode() for one in await self.run("abort", keep, kept, len(queues), *queues, *each)]

    async def replay(self, *ids: str) -> list[str]:
        """Replay jobs; return what was said of each."""
        return [one.decode() for one in await self.run("replay", *ids)]

    async def page(
        self, *lists: str, limit: int = 100, after: str = "", candidates: int = 2000,
        window: Sequence[Any] = ("-inf", "+inf"),
    ) -> tuple[list[str], str]:  # fmt: skip
        """Return one step through lists (`dead`, `tag:x`), or all jobs, and the cursor to go on from, if any."""
        score, _, last = after.partition("~")
        walked = [0, *lists] if lists else [1, *Status]
        ids, score, last, more = await self.run("list", limit, candidates, 1, *window, score, last, *walked)
        return [one.decode() for one in ids], f"{score.decode()}~{last.decode()}" if more else ""

    async def renew(self, worker: str = "w1", lease: int = LEASE) -> tuple[list[str], list[str]]:
        """Extend a worker's leases; return the ids lost and those overdue."""
        lost, overdue, self.next_overdue = await self.run("renew", worker, lease)
        return [one.decode() for one in lost], [one.decode() for one in overdue]

    async def release(self, worker: str = "w1", max_tries: int = 5, culprit: str = "") -> tuple[list[str], list[str]]:
        """Give a dead worker's jobs back; return the ids given back and the dead ones."""
        error = json.dumps({"type": "WorkerLost", "message": "it was killed", "traceback": ""})
        given, dead = await self.run("release", worker, max_tries, 3_600_000, error, culprit)
        return [one.decode() for one in given], [one.decode() for one in dead]

    async def lapse(self, *ids: str, ms: int = LEASE + 1) -> None:
        """Let leases run out: time moves on, and Redis has dropped the keys that only lived for the lease."""
        self.now += ms
        for one in ids:
            await self.redis.delete(keys.ARQ_IN_PROGRESS + one)

    async def record(self, job_id: str) -> dict[str, str]:
        """Return what is stored of a job."""
        found = await self.redis.hgetall(keys.RECORD + job_id)
        return {name.decode(): value.decode() for name, value in found.items()}

    async def status(self, job_id: str) -> str | None:
        """Return the stored status of a job."""
        return (await self.record(job_id)).get("status")

    async def score(self, job_id: str, queue: str = "default") -> int | None:
        """Return when a job is due by its queue, None where it is not in it."""
        found = await self.redis.zscore(keys.queue_key(queue), job_id)
        return None if found is None else int(found)

    async def failed(self, job_id: str) -> list[dict[str, Any]]:
        """Return the failed attempts of a job."""
        return [orjson.loads(line) for line in await self.redis.lrange(keys.ATTEMPTS + job_id, 0, -1)]

    async def inbox(self, worker: str) -> list[str]:
        """Return and take what was said to a worker."""
        said = [one.decode() for one in await self.redis.lrange(keys.INBOX + worker, 0, -1)]
        await self.redis.delete(keys.INBOX + worker)
        return said

    async def idle(self, queue: str = "default") -> set[str]:
        """Return the workers noted as idle."""
        return {one.decode() for one in await self.redis.zrange(keys.IDLE + queue, 0, -1)}

    async def events(self) -> list[tuple[str, str]]:
        """Return all that the feed holds: `(event, job)`, oldest first."""
        rows = await self.redis.xrange(keys.EVENTS)
        told = [one for _, row in rows for one in orjson.loads(row[b"e"])]
        return [(one["event"], job_id) for one in told for job_id in ([one["id"]] if "id" in one else one["ids"])]

    async def listed(self, status: str = "") -> set[str]:
        """Return the ids that the list of a status holds, or of all jobs."""
        lists = [keys.JOBS + one for one in ([status] if status else Status)]
        return {one.decode() for name in lists for one in await self.redis.zrange(name, 0, -1)}

    async def snapshot(self) -> dict[str, Any]:
        """Return every key with its value, to see that something changed nothing."""
        found: dict[str, Any] = {}
        async for key in self.redis.scan_iter(count=1000):
            found[key.decode()] = await self.redis.dump(key)
        return found
