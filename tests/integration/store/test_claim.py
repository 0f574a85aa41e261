"""claim.lua: the right to run due jobs, for one lease."""

from offload.store import keys
from support.clockwork import LEASE, SECOND, START


async def test_a_claim_takes_due_jobs_for_one_lease(store, redis):
    """Attempt 1, the token in arq's in-progress key with the lease as TTL, and the score at the end of the lease."""
    await store.enqueue("a", options=b'{"x": 1}')
    job = await store.claim_one()

    assert (job.attempt, job.payload, job.due, job.enqueued) == (1, b"payload of a", START, START)
    assert (job.queue, job.function, job.options, job.lost, job.aborted) == ("default", "t.f", b'{"x": 1}', None, False)
    assert await redis.get("arq:in-progress:a") == b"w1:1"
    assert 0 < await redis.pttl("arq:in-progress:a") <= LEASE
    assert await store.score("a") == START + LEASE
    assert await redis.get("arq:retry:a") == b"1"
    assert (await store.status("a"), await store.listed("running")) == ("running", {"a"})


async def test_a_claimed_job_is_nobody_elses(store):
    """While the lease stands no other worker gets the job, not even at its end."""
    await store.enqueue("a")
    await store.claim_one()
    store.now += LEASE

    assert (await store.claim("w2")).ids == []


async def test_queues_are_emptied_in_the_order_given(store):
    """Slots go to the first queue first; within a queue the oldest due job is first."""
    await store.enqueue("low", queue="low")
    store.now += 1
    await store.enqueue("high", queue="high")
    store.now += 1
    await store.enqueue("high2", queue="high")
    got = await store.claim(slots=2, queues=["high", "low"])

    assert got.ids == ["high", "high2"]
    assert got.left


async def test_no_more_than_the_slots_are_taken(store):
    """What is left is said, so that the worker asks again when a slot is free."""
    await store.enqueue("a", "b", "c")
    first, second = await store.claim(slots=2), await store.claim("w2", slots=2)

    assert (first.ids, first.left) == (["a", "b"], True)
    assert (second.ids, second.left) == (["c"], False)


async def test_a_worker_takes_no_more_of_a_queue_than_its_appetite(store):
    """A queue of processes is taken by as many as can run; other queues get the other slots."""
    await store.enqueue("p1", "p2", "p3", queue="pdf")
    await store.enqueue("a", "b")
    got = await store.claim(slots=10, queues=[("pdf", 2), ("default", 10)])

    assert got.ids == ["p1", "p2", "a", "b"]
    assert got.left


async def test_a_worker_without_appetite_takes_nothing_and_wakes_another(store):
    """What it cannot take is offered to a worker that is idle."""
    await store.claim("w2", queues=["pdf"])
    await store.enqueue("p1", queue="pdf")
    await store.inbox("w2")
    await store.claim("w2", slots=0, queues=["pdf"])
    await store.redis.zadd(keys.IDLE + "pdf", {"w3": store.now})
    got = await store.claim("w1", queues=[("pdf", 0)])

    assert got.ids == []
    assert await store.inbox("w3") == ["wake"]


async def test_a_paused_queue_gives_nothing(store, redis):
    """Until it is resumed."""
    await store.enqueue("a")
    await redis.hset(keys.QUEUE + "default", "paused", "1")
    paused = await store.claim()
    await redis.hset(keys.QUEUE + "default", "paused", "0")

    assert paused.ids == []
    assert (await store.claim()).ids == ["a"]


async def test_max_running_holds_over_all_workers(store, redis):
    """Two at once, whoever runs them; the place of one that ended is free again."""
    await redis.hset(keys.QUEUE + "llm", "max_running", 2)
    await store.enqueue("a", "b", "c", queue="llm")
    first = await store.claim("w1", slots=1, queues=["llm"])
    second = await store.claim("w2", queues=["llm"])
    third = await store.claim("w3", queues=["llm"])
    await store.finish("succeeded", *first.jobs)
    fourth = await store.claim("w3", queues=["llm"])

    assert (first.ids, second.ids, third.ids, fourth.ids) == (["a"], ["b"], [], ["c"])
    assert third.left


async def test_a_lost_worker_holds_no_place(store, redis):
    """When a lease has run out it counts no more against max_running."""
    await redis.hset(keys.QUEUE + "llm", "max_running", 1)
    await store.enqueue("a", "b", queue="llm")
    await store.claim("w1", slots=1, queues=["llm"])
    await store.lapse("a")
    got = await store.claim("w2", queues=["llm"])

    assert len(got.ids) == 1


async def test_a_lost_job_that_a_stock_worker_ended_leaves_no_place_behind(store, redis):
    """It says nothing to us: the next claim of a limited queue takes out whatever place has no lease any more."""
    await redis.hset(keys.QUEUE + "llm", "max_running", 1)
    await store.enqueue("a", queue="llm")
    await store.claim("w1", queues=["llm"])
    await store.lapse("a")
    await store.ended_by_stock("a", queue="llm")
    await store.enqueue("b", queue="llm")
    got = await store.claim("w2", queues=["llm"])

    assert got.ids == ["b"]
    assert await redis.zrange(keys.RUNNING_ON + "llm", 0, -1) == [b"b"]


async def test_a_rate_lets_so_many_start_in_a_window(store, redis):
    """Two in a second over all workers; the answer says when the next may start."""
    await redis.hset(keys.QUEUE + "api", mapping={"rate_count": 2, "rate_ms": 1000})
    await store.enqueue("a", "b", "c", "d", "e", queue="api")
    first = await store.claim("w1", slots=1, queues=["api"])
    store.now += 400
    second = await store.claim("w2", queues=["api"])
    store.now += 599
    third = await store.claim("w1", queues=["api"])
    store.now += 1
    fourth = await store.claim("w1", queues=["api"])

    assert (first.ids, second.ids, third.ids, fourth.ids) == (["a"], ["b"], [], ["c"])
    assert second.next_due == third.next_due == START + 1000
    assert fourth.next_due == START + 1400
    assert await redis.pttl(keys.RATE + "api") > 0


async def test_jobs_that_stock_workers_hold_are_stepped_over(store):
    """150 held jobs at the head of the queue do not hide the five behind them (arq#503)."""
    held = [f"h{n}" for n in range(150)]
    await store.stock(*held, due=START - SECOND)
    await store.held_by_stock(*held)
    await store.stock(*"abcde")
    got = await store.claim(slots=3)
    rest = await store.claim("w2", slots=10)

    assert (got.ids, rest.ids) == (["a", "b", "c"], ["d", "e"])
    assert await store.score("h7") == START - SECOND


async def test_jobs_between_held_ones_are_all_found(store):
    """Held and free jobs in turn, more than one chunk of them."""
    held = [f"j{n:03}" for n in range(0, 90, 2)]
    await store.stock(*(f"j{n:03}" for n in range(90)))
    await store.held_by_stock(*held)

    assert (await store.claim(slots=100)).ids == [f"j{n:03}" for n in range(1, 90, 2)]


async def test_a_job_of_a_stock_producer_gets_a_record(store, redis):
    """From its claim on it is listed like any other, and its payload no longer expires (arq seam 6)."""
    await store.stock("a")
    job = await store.claim_one()

    assert (job.attempt, job.function, job.options) == (1, "", b"")
    assert await redis.ttl("arq:job:a") == -1
    assert (await store.status("a"), await store.listed()) == ("running", {"a"})


async def test_a_job_whose_payload_has_expired_is_still_claimed(store):
    """It comes without a payload, to be ended with that reason instead of lying there for ever."""
    await store.redis.zadd("arq:queue", {"gone": START})
    job = await store.claim_one()

    assert job.payload is None


async def test_a_lease_that_ran_out_gives_the_job_to_another_worker(store, redis):
    """As attempt 2, with the lost attempt on record and the first worker's claim gone."""
    await store.enqueue("a")
    await store.claim_one("w1")
    await redis.hset("offload:job:a", "progress", '{"at": 1}')
    await store.lapse("a")
    again = await store.claim_one("w2")
    [lost] = await store.failed("a")

    assert (again.attempt, again.lost) == (2, "w1")
    assert (lost["attempt"], lost["worker"], lost["started"], lost["ended"]) == (1, "w1", START, store.now)
    assert lost["error"]["type"] == "WorkerLost"
    assert "progress" not in await store.record("a")
    assert await redis.zcard(keys.RUNNING + "w1") == 0
    assert await redis.ttl(keys.ATTEMPTS + "a") > 0


async def test_a_worker_that_finds_nothing_is_noted_as_idle(store):
    """In the same script, so that no wake-up can be lost; one that is full is not."""
    await store.claim("w1", queues=["default", "mail"])
    await store.enqueue("a")
    await store.inbox("w1")
    await store.claim("w2", slots=1)

    assert await store.idle("mail") == {"w1"}
    assert await store.idle() == set()


async def test_a_worker_that_became_full_is_no_longer_idle(store):
    """Whoever claims is taken off the list first."""
    await store.claim("w1")
    await store.stock("a")
    await store.claim("w1", slots=1)

    assert await store.idle() == set()


async def test_an_empty_claim_says_when_the_next_job_is_due(store):
    """The soonest over all queues; -1 where nothing waits; a running job's lease counts, for it may run out."""
    nothing = await store.claim(queues=["default", "mail"])
    await store.enqueue("later", queue="mail", due=START + 9 * SECOND)
    await store.enqueue("sooner", due=START + 5 * SECOND)
    waiting = await store.claim(queues=["default", "mail"])

    assert (nothing.next_due, waiting.next_due) == (-1, START + 5 * SECOND)


async def test_a_deferred_job_is_claimed_at_its_time(store):
    """Not a millisecond earlier."""
    await store.enqueue("a", due=START + SECOND)
    store.now += SECOND - 1
    early = await store.claim()
    store.now += 1
    got = await store.claim()

    assert (early.ids, got.ids) == ([], ["a"])
    assert await store.listed("deferred") == set()
    assert await store.redis.zscore(keys.DUE, "a") is None


async def test_a_full_worker_hands_the_wake_up_on(store):
    """Who takes its fill and leaves due jobs wakes the next idle worker: a batch spreads by itself."""
    await store.claim("w1")
    await store.claim("w2")
    await store.claim("w3")
    await store.enqueue(*(f"j{n}" for n in range(5)))
    woken = [name for name in ("w1", "w2", "w3") if await store.inbox(name)]
    await store.claim(woken[0], slots=2)
    chained = [name for name in ("w1", "w2", "w3") if await store.inbox(name)]

    assert len(woken) == len(chained) == 1
    assert woken != chained


async def test_a_queue_at_its_limit_wakes_nobody(store, redis):
    """What a limit holds back no other worker could start either."""
    await redis.hset(keys.QUEUE + "default", "max_running", 1)
    await store.enqueue("a", "b")
    await store.claim("w2", queues=["default"], slots=1)
    await redis.zadd(keys.IDLE + "default", {"w3": store.now})
    await store.claim("w1")

    assert await store.inbox("w3") == []


async def test_a_claim_brings_requests_to_abort_what_this_worker_runs(store, redis):
    """Arq's Job.abort() tells no worker: the claim looks into its set."""
    await store.enqueue("mine", "theirs")
    await store.claim_one("w1", slots=1)
    await store.claim_one("w2", slots=1)
    await redis.zadd("arq:abort", {"mine": START, "theirs": START, "nobodys": START})

    assert (await store.claim("w1")).aborts == ["mine"]


async def test_a_job_to_be_aborted_is_handed_out_as_such(store, redis):
    """The worker ends it as aborted, without running it."""
    await store.stock("a")
    await redis.zadd("arq:abort", {"a": START})

    assert (await store.claim_one()).aborted


async def test_an_id_that_a_stock_producer_uses_again_is_a_new_job(store, redis):
    """Stock arq looks at no record: what is kept of the ended job goes, and prune takes nothing from the new."""
    await store.enqueue("a")
    await store.finish("dead", await store.claim_one(), kept=SECOND, keep=0, failed=b'{"attempt": 1}')
    await store.stock("a")
    again = await store.claim_one()
    store.now += 2 * SECOND
    pruned = await store.run("prune", 100, SECOND)

    assert (again.attempt, again.enqueued, pruned) == (1, START, 0)
    assert (await store.status("a"), await store.listed("dead")) == ("running", set())
    assert await store.failed("a") == []
    assert await redis.ttl("offload:job:a") == -1
    assert await store.finish("succeeded", again) == [1]
