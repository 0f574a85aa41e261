"""renew.lua: the guardian extends what its worker still holds."""

from offload.store import keys
from support.clockwork import LEASE, SECOND, START


async def test_a_renewal_extends_every_lease(store, redis):
    """Key, score and place in the limits all move to the end of the new lease."""
    await store.enqueue("a", "b")
    await store.claim()
    store.now += LEASE - 1
    await redis.pexpire("arq:in-progress:a", 50)
    lost, overdue = await store.renew()

    assert (lost, overdue) == ([], [])
    assert await store.score("a") == await store.score("b") == store.now + LEASE
    assert await redis.pttl("arq:in-progress:a") > 50
    assert await redis.zscore(keys.RUNNING_ON + "default", "a") == store.now + LEASE


async def test_a_renewal_touches_only_its_own_workers_jobs(store):
    """Another worker's lease is not extended."""
    await store.enqueue("a", "b")
    await store.claim("w1", slots=1)
    await store.claim("w2", slots=1)
    store.now += SECOND
    await store.renew("w1")

    assert (await store.score("a"), await store.score("b")) == (store.now + LEASE, START + LEASE)


async def test_a_worker_whose_name_begins_the_same_is_another(store):
    """w1 is not w10."""
    await store.enqueue("a")
    await store.claim("w10")
    await store.redis.zadd(keys.RUNNING + "w1", {"a": START + 999 * SECOND})
    lost, _ = await store.renew("w1")

    assert lost == ["a"]
    assert await store.score("a") == START + LEASE


async def test_a_lost_lease_is_told_once(store):
    """When another worker took the job the first is told in its inbox, and keeps nothing of it."""
    await store.enqueue("a")
    await store.claim("w1")
    await store.lapse("a")
    await store.claim("w2")
    told = await store.inbox("w1")

    assert told == [f"lost {store.now} a"]
    assert await store.renew("w1") == ([], [])
    assert await store.inbox("w1") == []
    assert await store.redis.get("arq:in-progress:a") == b"w2:1"


async def test_a_lease_that_nobody_took_is_taken_up_again(store, redis):
    """After Redis was away the key has gone but the job is still ours: it goes on under the same token."""
    await store.enqueue("a")
    job = await store.claim_one()
    await store.lapse("a")
    lost, _ = await store.renew()

    assert lost == []
    assert await redis.get("arq:in-progress:a") == job.token.encode()
    assert (await store.claim("w2")).ids == []
    assert await store.finish("succeeded", job) == [1]


async def test_a_job_past_its_deadline_is_not_renewed(store):
    """Timeout and grace are over: its lease runs out, and the guardian is told which it is."""
    await store.enqueue("a", timeout=SECOND)
    await store.claim(grace=SECOND)
    store.now += 2 * SECOND
    still = await store.renew()
    score = await store.score("a")
    store.now += 1
    over = await store.renew()

    assert (still, over) == (([], []), ([], ["a"]))
    assert await store.score("a") == score


async def test_a_stock_worker_that_took_the_job_keeps_it(store, redis):
    """Its in-progress key stands; ours is lost."""
    await store.enqueue("a")
    await store.claim()
    await store.lapse("a")
    await store.held_by_stock("a")

    assert await store.renew() == (["a"], [])
    assert await redis.get("arq:in-progress:a") == b"1"


async def test_a_finished_job_is_lost(store):
    """A job that is no longer in its queue cannot be held."""
    await store.enqueue("a")
    job = await store.claim_one()
    await store.finish("succeeded", job)
    await store.redis.zadd(keys.RUNNING + "w1", {"a": store.now + SECOND})

    assert await store.renew() == (["a"], [])
    assert await store.redis.exists("arq:in-progress:a") == 0


async def test_a_worker_that_holds_nothing_renews_nothing(store):
    """And leaves no key."""
    assert await store.renew("nobody") == ([], [])
    assert await store.snapshot() == {}


async def test_a_lease_that_ran_out_is_not_taken_up_beyond_the_limit(store, redis):
    """While it was out another job got the last place of max_running: the attempt is lost, the job waits."""
    await redis.hset(keys.QUEUE + "default", "max_running", 1)
    await store.enqueue("a", "b")
    await store.claim("w1")
    await store.lapse("a")
    other = await store.claim("w2")
    lost, _ = await store.renew("w1")

    assert (other.ids, lost) == (["b"], ["a"])
    assert await store.inbox("w1") == [f"lost {store.now} a"]
    assert (await store.claim("w3")).ids == []


async def test_a_renewal_says_when_the_first_job_is_past_its_limit(store):
    """That is the earliest of those that are not; -1 where there is none."""
    await store.enqueue("a", timeout=SECOND)
    await store.enqueue("b", timeout=3 * SECOND)
    await store.claim(grace=SECOND)
    store.now += SECOND
    await store.renew()
    first = store.next_overdue
    store.now += SECOND + 1
    await store.renew()
    second = store.next_overdue
    store.now += 2 * SECOND
    await store.renew()

    assert (first, second, store.next_overdue) == (SECOND, 2 * SECOND - 1, -1)
