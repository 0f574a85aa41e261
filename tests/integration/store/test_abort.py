"""abort.lua: at once while a job waits, by its worker while it runs."""

import pytest

from offload.store import keys
from support.clockwork import SECOND, START


async def abort(store, job_id="a", *queues, result=b"cancelled"):
    [said] = await store.abort(job_id, queues=queues or ("default",), result=result)
    return said


@pytest.mark.parametrize("due", [0, START + 60 * SECOND])
async def test_a_waiting_job_is_aborted_at_once(store, redis, due):
    """Queued or deferred: it leaves the queue, and arq's Job.result() finds a result that says so."""
    await store.enqueue("a", due=due)
    said = await abort(store)

    assert said == "aborted"
    assert (await store.status("a"), await store.score("a")) == ("aborted", None)
    assert await redis.get("arq:result:a") == b"cancelled"
    assert await redis.ttl("offload:job:a") > 0
    assert await redis.exists("arq:job:a", "arq:abort") == 0
    assert await redis.zscore(keys.DUE, "a") is None
    assert (await store.listed("aborted"), await store.listed("deferred")) == ({"a"}, set())


async def test_a_retrying_job_is_aborted_at_once(store):
    """Between two attempts it waits like any other, and its count of attempts goes."""
    await store.enqueue("a")
    await store.finish("retry", await store.claim_one(), due=START + SECOND)

    assert await abort(store) == "aborted"
    assert await store.listed("retrying") == set()
    assert await store.redis.exists("arq:retry:a") == 0


async def test_a_running_job_is_aborted_by_its_worker(store, redis):
    """The worker is told, arq's set holds the request for stock workers, and the job reads aborting."""
    await store.enqueue("a")
    await store.claim("w1")
    said = await abort(store)

    assert said == "aborting"
    assert await store.inbox("w1") == ["abort a"]
    assert await redis.zscore("arq:abort", "a") == START
    assert (await store.record("a"))["aborting"] == "1"
    assert await store.status("a") == "running"


async def test_a_job_that_a_stock_worker_runs_is_aborted_by_it(store, redis):
    """By arq's own set; we make no record for it."""
    await store.stock("a")
    await store.held_by_stock("a")

    assert await abort(store) == "aborting"
    assert await redis.zscore("arq:abort", "a") == START
    assert await store.record("a") == {}


async def test_a_waiting_job_of_a_stock_producer_is_aborted(store):
    """It is looked for in the queues that are known."""
    await store.stock("a", queue="mail")

    assert await abort(store, "a", "default", "mail") == "aborted"
    assert (await store.status("a"), await store.score("a", "mail")) == ("aborted", None)


@pytest.mark.parametrize("status", ["succeeded", "dead", "aborted"])
async def test_a_job_that_has_ended_stays_as_it_is(store, status):
    """The answer is how it ended, and nothing is left behind (arq#485)."""
    await store.enqueue("a")
    await store.finish(status, await store.claim_one())
    before = await store.snapshot()

    assert await abort(store) == status
    assert await store.snapshot() == before


async def test_an_unknown_job_leaves_nothing(store):
    """No request for a job that never comes (arq#485)."""
    assert await abort(store, "nobody", "default", "mail") == "unknown"
    assert await store.snapshot() == {}


async def test_a_job_whose_lease_ran_out_is_aborted_at_once(store, redis):
    """Nobody runs it, so nobody has to be asked; the late worker is fenced."""
    await store.enqueue("a")
    job = await store.claim_one("w1")
    await store.lapse("a")
    said = await abort(store)

    assert said == "aborted"
    assert await redis.zcard(keys.RUNNING + "w1") == 0
    assert await store.finish("succeeded", job) == [0]
