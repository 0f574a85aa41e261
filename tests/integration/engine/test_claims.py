"""The claim loop's own care: an answer that came too late, or never, starts nothing and holds nothing back."""

import asyncio

import pytest

from offload.store.jobs import leases
from offload.store.jobs.leases import Claimed
from offload.worker.claims import Claims
from support.clockwork import Clockwork

LEASE_MS = 200


@pytest.fixture
def started() -> list[Claimed]:
    """What was started."""
    return []


@pytest.fixture
def claims(redis, started) -> Claims:
    """The claim loop of a worker that has room."""
    return Claims(
        redis,
        "w1",
        ["default"],
        lease_ms=LEASE_MS,
        timeout_ms=60_000,
        grace_ms=5_000,
        poll=0.5,
        batch=10,
        free=lambda: 10,
        appetite=lambda _: 10,
        start=lambda job, _: started.append(job),
        abort=lambda _: None,
    )


async def test_an_answer_older_than_a_lease_starts_nothing(redis, claims, started, monkeypatch):
    """A process that was stopped between its claim and the answer may not run what others run by now."""
    answer = leases.claim

    async def late(*args, **about):
        claim = await answer(*args, **about)
        await asyncio.sleep(LEASE_MS / 1000)
        return claim

    monkeypatch.setattr(leases, "claim", late)
    await Clockwork(redis, now=0).run("enqueue", "a", "default", 0, b"payload", 2, "function", "t.f")
    count = await claims.claim_jobs()

    assert (count, started, claims.is_unsure) == (0, [], True)


@pytest.mark.parametrize("known", [{}, {"a": "w1:0"}])
async def test_what_an_unsure_claim_brought_is_put_back(redis, claims, started, known):
    """Unless it runs here by this very claim; it costs no attempt, and is due at once."""
    store = Clockwork(redis, now=0)
    await store.run("enqueue", "a", "default", 0, b"payload", 2, "function", "t.f")
    await claims.claim_jobs()
    kept = await claims.release_unknown({"a": "w1:1"})
    back = await claims.release_unknown(known)

    assert (kept, back, [job.attempt for job in started]) == ([], ["a"], [1])
    assert await store.status("a") == "queued"
    assert await redis.exists("arq:in-progress:a", "arq:retry:a") == 0
