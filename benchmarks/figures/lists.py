"""Lists over HTTP with many jobs in Redis: how long a page takes, whatever is asked for.

The jobs are put in, claimed and ended by the scripts that the client and the workers call. `disjoint` asks for what no
job is: two lists of an eighth and a quarter of all jobs that share none, where a page can only give up in time.
"""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from benchmarks.figures.http import served
from benchmarks.plan import Plan
from benchmarks.quantiles import quantile
from offload.domain.clock import now_ms, rfc3339
from offload.store.connection.connection import client, settings_of
from offload.store.jobs import leases
from offload.store.jobs.codec import Codec
from offload.store.jobs.enqueue import JobStore, NewJob
from offload.store.jobs.leases import AttemptEnd, Claimed

_BATCH = 500
_QUEUES = ("default", "mail", "llm", "reports")
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_ERROR = {"type": "httpx.ConnectError", "message": "no route to host", "traceback": 'File "x.py", line 1, in f\n' * 40}
_DEAD = "{0:012x}"

COMBINATIONS: Mapping[str, Mapping[str, str]] = {
    "all": {},
    "succeeded": {"status": "succeeded"},
    "dead": {"status": "dead"},
    "function": {"function": "lists.f3"},
    "queue": {"queue": "mail"},
    "tag": {"tag": "t4"},
    "rare tag": {"tag": "rare"},
    "error": {"error": _DEAD.format(7)},
    "function, status": {"function": "lists.f3", "status": "dead"},
    "queue, tag": {"queue": "mail", "tag": "t5"},
    "rare tag, status": {"tag": "rare", "status": "deferred"},
    "function, queue, tag, status": {"function": "lists.f1", "queue": "mail", "tag": "t5", "status": "succeeded"},
    "error, function, status": {"error": _DEAD.format(7), "function": "lists.f5", "status": "dead"},
    "disjoint": {"function": "lists.f0", "queue": "llm"},
}


@dataclass
class _Filler:
    """Puts jobs in and takes them through their states; everything that is random comes from one seed."""

    redis: Any
    chance: random.Random = field(default_factory=lambda: random.Random(4))
    codec: Codec = field(default_factory=Codec)

    async def fill(self, count: int) -> None:
        """Put in `count` jobs: a fifth deferred, most ended in one of all ways, some running, the rest queued."""
        store = JobStore(self.redis, self.codec)
        for first in range(0, count, _BATCH):
            await store.enqueue_many([self._job(n) for n in range(first, min(first + _BATCH, count))])
        left = round(count * 0.72)
        while left > 0:
            left -= (claimed := len(claim := await self._claim()))
            if not claimed:
                return
            await leases.finish(self.redis, "bench", [self._ending(job) for job in claim])
        await self._claim()

    def _job(self, n: int) -> NewJob:
        tags = [f"t{n % 10}"] + (["rare"] if n % 10_000 == 0 else [])
        due_ms = now_ms() + _DAY_MS if self.chance.random() < 0.2 else 0
        payload = self.codec.encode_job(f"lists.f{n % 8}", {"n": n}, now_ms())
        fields = {"function": f"lists.f{n % 8}", "max_tries": 5, "tags": orjson.dumps(tags)}
        return NewJob(f"{now_ms():012x}{self.chance.getrandbits(80):020x}", _QUEUES[n % 4], due_ms, payload, fields)

    async def _claim(self) -> tuple[Claimed, ...]:
        queues = [(name, _BATCH) for name in _QUEUES]
        claim = await leases.claim(
            self.redis, "bench", 1, lease_ms=_HOUR_MS, slots=_BATCH, timeout_ms=_HOUR_MS, grace_ms=0, queues=queues
        )
        return claim.jobs

    def _ending(self, job: Claimed) -> AttemptEnd:
        about: dict[str, Any] = {"id": job.id, "token": job.token, "function": job.function, "kept_ms": _DAY_MS}
        verb = self.chance.choices(["succeeded", "dead", "retry", "aborted"], [75, 12, 8, 5])[0]
        if verb == "succeeded":
            return AttemptEnd(**about, verb=verb, result=b"x" * 150, keep_ms=_DAY_MS)
        if verb == "aborted":
            return AttemptEnd(**about, verb=verb)
        fingerprint = _DEAD.format(int(self.chance.paretovariate(1)) % 40)
        error = {**_ERROR, "fingerprint": fingerprint}
        attempt = {"attempt": 1, "started": job.claimed_ms, "ended": job.claimed_ms, "worker": "bench", "error": error}
        fields = (("error", orjson.dumps(error).decode()),) if verb == "dead" else ()
        return AttemptEnd(
            **about, verb=verb, due_ms=now_ms() + _DAY_MS, failed_attempt=orjson.dumps(attempt), fields=fields,
            fingerprint=fingerprint,
        )  # fmt: skip


async def lists(plan: Plan, side: str) -> dict[str, float]:
    """Ask for first pages, for those behind them, and for windows of time, in each combination of filters."""
    found: dict[str, float] = {}

    async def prepare(url: str) -> None:
        redis = client(settings_of(url))
        began = time.perf_counter()
        await _Filler(redis).fill(plan.listed)
        found["filled"] = plan.listed / (time.perf_counter() - began)
        found["bytes"] = (await redis.info("memory"))["used_memory"] / plan.listed
        await redis.aclose()

    began_ms = now_ms()
    async with served(side, prepare=prepare) as url, httpx.AsyncClient(base_url=url, timeout=30) as api:
        window_ms = (began_ms, now_ms())
        for name, query in COMBINATIONS.items():
            taken = await _pages(api, query, plan.pages, window_ms)
            found |= {f"{name} p50": quantile(taken, 0.5), f"{name} p99": quantile(taken, 0.99)}
        asked = {"filter": {"function": "lists.f3", "error": _DEAD.format(1)}, "dry_run": True}
        found["dry run"] = await _took(lambda: api.post("/v1/jobs:retry", json=asked))
        asked = {"filter": {"status": "dead"}, "limit": 10_000}
        found["retry"] = await _took(lambda: api.post("/v1/jobs:retry", json=asked))
    found["worst p50"] = max(found[f"{name} p50"] for name in COMBINATIONS)
    return found


async def _pages(
    api: httpx.AsyncClient, query: Mapping[str, str], count: int, window_ms: tuple[int, int]
) -> list[float]:
    """Return for how many ms each request took: a third each first pages, pages behind, pages from some moment on."""
    chance, cursor, taken = random.Random(5), None, []
    for n in range(count):
        asked = dict(query)
        if n % 3 == 1 and cursor:
            asked["cursor"] = cursor
        elif n % 3 == 2:
            asked["enqueued_before"] = str(rfc3339(chance.randrange(*window_ms)))
        began = time.perf_counter()
        answer = (await api.get("/v1/jobs", params=asked)).raise_for_status()
        taken.append((time.perf_counter() - began) * 1000)
        if n % 3 < 2:
            cursor = answer.json()["next"]
    return taken


async def _took(call: Callable[[], Awaitable[httpx.Response]]) -> float:
    began = time.perf_counter()
    (await call()).raise_for_status()
    return (time.perf_counter() - began) * 1000
