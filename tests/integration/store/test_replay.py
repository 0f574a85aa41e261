"""replay.lua: a person puts a job back."""

import pytest

from offload.store import keys
from support.clockwork import SECOND, START


async def replay(store, job_id="a"):
    [said] = await store.replay(job_id)
    return said


@pytest.mark.parametrize("status", ["dead", "aborted"])
async def test_a_job_that_failed_runs_again_from_its_first_attempt(store, redis, status):
    """Payload and record are as those of a new job, and expire no more; how often it was replayed is counted."""
    await store.enqueue("a")
    await store.finish(status, await store.claim_one(), fields=["error", "{}"])
    store.now += SECOND
    said = await replay(store)
    again = await store.claim_one()
    record = await store.record("a")

    assert said == "queued"
    assert (again.attempt, again.payload) == (1, b"payload of a")
    assert record["replays"] == "1"
    assert not {"error", "payload", "finished", "expires", "result_expires"} & set(record)
    assert await redis.ttl("offload:job:a") == await redis.ttl("arq:job:a") == -1
    assert await redis.zscore(keys.EXPIRES, "a") is None
    assert await redis.exists("arq:result:a") == 0


async def test_a_replay_wakes_a_worker(store):
    """It starts at once."""
    await store.enqueue("a")
    await store.finish("dead", await store.claim_one())
    await store.claim("w2")
    await replay(store)

    assert await store.inbox("w2") == ["wake"]


async def test_a_deferred_job_can_be_run_now(store):
    """Its due time becomes now."""
    await store.enqueue("a", due=START + 60 * SECOND)

    assert await replay(store) == "queued"
    assert (await store.score("a"), await store.listed("deferred"), await store.listed("queued")) == (
        START,
        set(),
        {"a"},
    )
    assert await store.redis.zscore(keys.DUE, "a") is None


async def test_a_retrying_job_keeps_its_count(store):
    """Running it now is the attempt that was to come."""
    await store.enqueue("a")
    await store.finish("retry", await store.claim_one(), due=START + 60 * SECOND)

    assert await replay(store) == "queued"
    assert (await store.claim_one()).attempt == 2


async def test_a_job_that_needs_no_replay_says_so(store):
    """Queued, running, succeeded and unknown jobs are left alone."""
    await store.enqueue("queued")
    queued = await replay(store, "queued")
    job = await store.claim_one()
    running = await replay(store, "queued")
    await store.finish("succeeded", job)

    assert [queued, running, await replay(store, "queued"), await replay(store, "no")] == [
        "queued", "running", "succeeded", "unknown",
    ]  # fmt: skip


async def test_a_job_whose_payload_is_gone_cannot_run(store):
    """Its arguments had expired before it was claimed."""
    await store.redis.zadd("arq:queue", {"a": START})
    await store.finish("dead", await store.claim_one())

    assert await replay(store) == "expired"
    assert await store.status("a") == "dead"


async def test_a_job_that_a_stock_worker_ended_is_not_queued_again(store, redis):
    """Its record still says deferred, but it is in no queue any more, and its arguments are gone."""
    await store.enqueue("a", due=START + SECOND)
    await redis.delete("arq:job:a")
    await redis.zrem("arq:queue", "a")

    assert await replay(store, "a") == "expired"
    assert await store.score("a") is None


async def test_a_dead_job_whose_id_is_queued_again_is_left_alone(store, redis):
    """A stock producer was first: its arguments stand."""
    await store.enqueue("a")
    await store.finish("dead", await store.claim_one(), keep=0)
    await store.stock("a")
    await redis.set("arq:job:a", b"new", ex=60)

    assert await replay(store, "a") == "queued"
    assert await redis.get("arq:job:a") == b"new"
