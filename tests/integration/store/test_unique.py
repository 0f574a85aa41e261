"""lib/unique.lua: one job at a time for each unique key, whoever ends it and however."""

import pytest

from offload.store import keys
from support.clockwork import SECOND, START

KEY = keys.UNIQUE + "aa"
KEPT = 3_600 * SECOND


async def end(store, verb="succeeded", **about):
    return await store.finish(verb, await store.claim_one(), **about)


async def test_while_a_job_waits_its_key_is_taken(store, redis):
    """The answer is its id; nothing is put in, and another key is free."""
    assert await store.enqueue("a", unique="aa") == [1]
    before = await store.snapshot()

    assert await store.enqueue("b", unique="aa") == [b"a"]
    assert await store.snapshot() == before
    assert await store.enqueue("c", unique="bb") == [1]
    assert await redis.ttl(KEY) == -1


@pytest.mark.parametrize("state", ["deferred", "running", "retrying", "lost"])
async def test_a_key_is_taken_until_the_job_has_ended(store, state):
    """It may be deferred, running, between two attempts, or wait for a worker to take it up from one that died."""
    await store.enqueue("a", unique="aa", due=START + SECOND if state == "deferred" else 0)
    if state != "deferred":
        job = await store.claim_one()
        if state == "retrying":
            await store.finish("retry", job, due=START + SECOND)
        elif state == "lost":
            await store.lapse("a")

    assert await store.enqueue("b", unique="aa") == [b"a"]


@pytest.mark.parametrize("verb", ["succeeded", "dead", "aborted"])
async def test_a_job_that_ends_lets_go_of_its_key(store, redis, verb):
    """However it ends."""
    await store.enqueue("a", unique="aa")
    await end(store, verb)

    assert await redis.exists(KEY) == 0
    assert await store.enqueue("b", unique="aa") == [1]


async def test_a_job_aborted_before_it_ran_lets_go(store, redis):
    """As does one whose worker died at its last attempt."""
    await store.enqueue("a", unique="aa")
    await store.abort("a")
    gone = await redis.exists(KEY)
    await store.enqueue("b", unique="aa", max_tries=1)
    await store.claim()
    _, dead = await store.release()

    assert (gone, dead) == (0, ["b"])
    assert await redis.exists(KEY) == 0


@pytest.mark.parametrize("verb", ["succeeded", "dead"])
async def test_a_key_with_a_time_is_taken_until_then(store, redis, verb):
    """Seconds count from the enqueue; the record of the job that holds it is kept as long."""
    await store.enqueue("a", unique="aa", unique_for=7200 * SECOND)
    store.now += 10 * SECOND
    await end(store, verb, kept=60 * SECOND)
    ttl = await redis.pttl(KEY)
    taken = await store.enqueue("b", unique="aa")
    store.now = START + 7200 * SECOND

    assert 7190 * SECOND < ttl <= 7250 * SECOND
    assert taken == [b"a"]
    assert await redis.zscore(keys.EXPIRES, "a") == START + 7200 * SECOND
    assert await store.enqueue("c", unique="aa") == [1]


async def test_a_job_that_runs_past_its_time_keeps_its_key(store):
    """A time makes it longer, never shorter."""
    await store.enqueue("a", unique="aa", unique_for=1000)
    store.now += 60 * SECOND

    assert await store.enqueue("b", unique="aa", unique_for=1000) == [b"a"]


async def test_in_one_batch_the_first_of_a_key_counts(store):
    """The others are answered with its id."""
    assert await store.enqueue("a", "b", "c", unique="aa") == [1, b"a", b"a"]
    assert await store.listed() == {"a"}


async def test_the_same_id_again_is_the_same_job(store):
    """An enqueue that is repeated by its id answers as ever, before anybody asks for the key."""
    await store.enqueue("a", unique="aa")

    assert await store.enqueue("a", unique="aa") == [0]


async def test_a_key_that_a_stock_worker_left_is_taken_over(store):
    """It ended the job and knows of no key; the queue tells."""
    await store.enqueue("a", unique="aa")
    await store.held_by_stock("a")
    held = await store.enqueue("b", unique="aa")
    await store.ended_by_stock("a")

    assert held == [b"a"]
    assert await store.enqueue("b", unique="aa") == [1]


async def test_a_key_that_a_stock_worker_left_is_pruned(store, redis):
    """With the record, and not one that another job has taken over since."""
    await store.enqueue("a", unique="aa")
    await store.enqueue("b", unique="bb")
    await store.ended_by_stock("a", "b")
    await store.enqueue("c", unique="bb")
    await store.run("prune", 100, 60_000)

    assert await redis.exists(KEY) == 0
    assert await redis.get(keys.UNIQUE + "bb") == b"c"


async def test_a_key_whose_job_is_forgotten_is_taken_over(store, redis):
    """Whatever made it go."""
    await store.enqueue("a", unique="aa", unique_for=60 * SECOND)
    await end(store)
    await redis.delete(keys.RECORD + "a")

    assert await store.enqueue("b", unique="aa") == [1]


async def test_a_replayed_job_has_its_key_again(store, redis):
    """One at a time holds for it too, until it ends again."""
    await store.enqueue("a", unique="aa", unique_for=5 * SECOND)
    await end(store, "dead")
    said = await store.replay("a")
    taken = await store.enqueue("b", unique="aa")
    ttl = await redis.ttl(KEY)
    store.now += 60 * SECOND
    await end(store)

    assert (said, taken, ttl) == (["queued"], [b"a"], -1)
    assert await redis.exists(KEY) == 0


async def test_a_job_is_not_replayed_beside_another_of_its_key(store):
    """It says which one is in the way, and stays dead."""
    await store.enqueue("a", unique="aa")
    await end(store, "dead")
    await store.enqueue("b", unique="aa")

    assert await store.replay("a") == ["held b"]
    assert await store.status("a") == "dead"


async def test_an_old_job_does_not_take_the_key_of_a_new_one_with_it(store, redis):
    """A stock worker ended it, another took the key over, and only then somebody ends the record."""
    await store.enqueue("a", unique="aa")
    job = await store.claim_one()
    await store.redis.zrem(keys.queue_key("default"), "a")
    await store.enqueue("b", unique="aa")
    await store.finish("succeeded", job)

    assert await redis.get(KEY) == b"b"
