"""forget.lua: nothing is kept of a job that has ended."""

import pytest

from offload.store import keys


async def forget(store, *ids):
    return [said.decode() for said in await store.run("forget", *(ids or ("a",)))]


@pytest.mark.parametrize("status", ["succeeded", "dead", "aborted"])
async def test_a_job_that_has_ended_is_forgotten(store, redis, status):
    """Its result goes with its record, so its id is free again."""
    await store.enqueue("a")
    await store.finish(status, await store.claim_one())

    assert await forget(store) == ["forgotten"]
    assert await redis.exists(keys.RECORD + "a", keys.ARQ_RESULT + "a") == 0
    assert await store.enqueue("a") == [1]


async def test_a_job_that_has_not_ended_stays(store):
    """The answer is where it stands, and nothing has changed."""
    await store.enqueue("queued")
    await store.enqueue("deferred", due=store.now + 1000)
    await store.enqueue("running", queue="other")
    await store.claim(queues=("other",))
    before = await store.snapshot()

    assert await forget(store, "queued", "deferred", "running", "no") == ["queued", "deferred", "running", "unknown"]
    assert await store.snapshot() == before


async def test_what_a_stock_worker_ended_is_forgotten(store, redis):
    """Its record says that it runs, but its queue has it no more; of a stock producer's job there is a result alone."""
    await store.enqueue("ours")
    await store.stock("theirs")
    await store.ended_by_stock("ours", "theirs")

    assert await forget(store, "ours", "theirs") == ["forgotten", "forgotten"]
    assert await redis.exists(keys.RECORD + "ours", keys.ARQ_RESULT + "ours", keys.ARQ_RESULT + "theirs") == 0


async def test_an_id_that_a_stock_producer_uses_again_is_not_forgotten(store):
    """Its new job waits."""
    await store.enqueue("a")
    await store.finish("dead", await store.claim_one(), keep=0)
    await store.stock("a")

    assert await forget(store) == ["queued"]
    assert await store.score("a") is not None


async def test_a_unique_key_is_free_when_its_job_is_forgotten(store):
    """Also where a stock worker ended it, which knows of no keys."""
    await store.enqueue("a", unique="k")
    await store.ended_by_stock("a")
    await forget(store)

    assert await store.redis.exists(keys.UNIQUE + "k") == 0
    assert await store.enqueue("b", unique="k") == [1]
