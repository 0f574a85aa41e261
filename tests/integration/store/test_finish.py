"""finish.lua: how attempts ended, fenced by the token of their claim."""

import orjson
import pytest

from offload.store import keys
from support.clockwork import LEASE, SECOND, START

HOUR = f"{keys.COUNTS}{START // 3_600_000}"


async def claimed(store, *ids, **about):
    await store.enqueue(*(ids or ("a",)), **about)
    return (await store.claim()).jobs


async def test_a_success_leaves_a_result_and_a_record_for_a_while(store, redis):
    """The result has its TTL, the record outlives it, and nothing else of the job is left."""
    [job] = await claimed(store)
    await store.finish("succeeded", job, keep=60_000, kept=120_000, fields=["loop_ms", "3"])
    record = await store.record("a")

    assert await redis.get("arq:result:a") == b"result"
    assert 0 < await redis.pttl("arq:result:a") <= 60_000
    assert (record["status"], record["finished"], record["loop_ms"]) == ("succeeded", str(START), "3")
    assert (record["expires"], record["result_expires"]) == (str(START + 120_000), str(START + 60_000))
    assert await redis.exists("arq:job:a", "arq:in-progress:a", "arq:retry:a", "arq:queue") == 0
    assert await redis.zscore(keys.EXPIRES, "a") == START + 120_000
    assert (await store.listed("succeeded"), await store.listed("running")) == ({"a"}, set())


@pytest.mark.parametrize("status", ["dead", "aborted"])
async def test_a_job_that_did_not_succeed_keeps_its_payload(store, redis, status):
    """It can be replayed for as long as its record is kept."""
    [job] = await claimed(store)
    await store.finish(status, job, fields=["error", "{}"])
    record = await store.record("a")

    assert (record["status"], record["payload"], record["error"]) == (status, "payload of a", "{}")
    assert await redis.exists("arq:job:a") == 0


async def test_a_result_that_nobody_wants_is_not_kept(store, redis):
    """Keep of 0 writes none."""
    [job] = await claimed(store)
    await store.finish("succeeded", job, result=b"", keep=0)

    assert await redis.exists("arq:result:a") == 0
    assert await store.status("a") == "succeeded"


async def test_a_result_may_be_kept_for_ever(store, redis):
    """Arq's keep_result_forever, the one result without a TTL."""
    [job] = await claimed(store)
    await store.finish("succeeded", job, keep=-1)
    ttl = await redis.ttl("arq:result:a")
    await redis.delete("arq:result:a")

    assert ttl == -1


@pytest.mark.parametrize("verb", ["succeeded", "dead", "aborted", "retry", "requeued"])
async def test_a_late_finish_writes_nothing(store, verb):
    """Whoever lost the lease is told so, whatever it has to say, and changes no key."""
    [job] = await claimed(store)
    await store.lapse("a")
    await store.claim("w2")
    before = await store.snapshot()

    assert await store.finish(verb, job, failed=b'{"attempt": 1}') == [0]
    assert await store.snapshot() == before


async def test_a_finish_is_written_once(store):
    """The same ending again finds no lease."""
    [job] = await claimed(store)

    assert (await store.finish("succeeded", job), await store.finish("succeeded", job)) == ([1], [0])


async def test_an_ending_counts_when_the_lease_ran_out_and_nobody_took_the_job(store):
    """Redis was away for longer than a lease: the job is not run again without need, and its ending is written once."""
    [job] = await claimed(store)
    await store.lapse("a")

    assert (await store.finish("succeeded", job), await store.finish("succeeded", job)) == ([1], [0])
    assert await store.status("a") == "succeeded"
    assert (await store.claim("w2")).jobs == []


@pytest.mark.parametrize("how", ["stock holds it", "stock ended it", "released"])
async def test_a_lease_that_ran_out_and_was_taken_fences(store, redis, how):
    """By a stock worker, which changes no record, or by our own guardian: nothing is written."""
    [job] = await claimed(store)
    await store.lapse("a")
    if how == "stock holds it":
        await store.held_by_stock("a")
    elif how == "stock ended it":
        await redis.zrem("arq:queue", "a")
    else:
        await redis.set(keys.ARQ_IN_PROGRESS + "a", job.token, px=1000)
        await store.release()
    before = await store.status("a")

    assert await store.finish("succeeded", job) == [0]
    assert await store.status("a") == before


async def test_a_batch_answers_for_each(store):
    """One late attempt does not keep the others from being written."""
    a, b, c = await claimed(store, "a", "b", "c")
    await store.lapse("b", ms=0)
    await store.held_by_stock("b")

    assert await store.finish("succeeded", a, b, c) == [1, 0, 1]
    assert await store.listed("succeeded") == {"a", "c"}


async def test_endings_are_counted_by_hour_and_function(store, redis):
    """Each verb has a counter; a retry counts as failed."""
    jobs = await claimed(store, *"abcde")
    for job, verb in zip(jobs, ["succeeded", "dead", "aborted", "retry", "requeued"], strict=True):
        await store.finish(verb, job)
    counts = await redis.hgetall(HOUR)

    assert {name.decode(): int(n) for name, n in counts.items()} == {
        "succeeded t.f": 1, "dead t.f": 1, "aborted t.f": 1, "failed t.f": 1, "requeued t.f": 1, "ms t.f": 0,
    }  # fmt: skip
    assert await redis.ttl(HOUR) > 0


async def test_a_retry_is_due_at_its_time(store, redis):
    """The job waits for its backoff, reads retrying, and its failed attempt is kept."""
    [job] = await claimed(store)
    await store.finish("retry", job, due=START + 30 * SECOND, failed=orjson.dumps({"attempt": 1}))
    record = await store.record("a")

    assert await store.score("a") == START + 30 * SECOND
    assert (record["status"], record["due"]) == ("retrying", str(START + 30 * SECOND))
    assert not {"worker", "token", "progress"} & set(record)
    assert await store.failed("a") == [{"attempt": 1}]
    assert await redis.zscore(keys.DUE, "a") == START + 30 * SECOND
    assert (await store.events())[-1] == ("retrying", "a")


async def test_the_count_of_attempts_lives_as_long_as_the_job(store, redis):
    """Arq lets its counter expire after a day: a job that is retried over days would start from 1 again."""
    [job] = await claimed(store)
    await store.finish("retry", job, due=START + 2 * 86_400_000)
    waiting = await redis.ttl("arq:retry:a")
    store.now += 2 * 86_400_000
    again = await store.claim_one()
    running = await redis.ttl("arq:retry:a")
    await store.release("w1")

    assert (waiting, running, await redis.ttl("arq:retry:a")) == (-1, -1, -1)
    assert again.attempt == 2
    assert await redis.ttl("arq:job:a") == -1


async def test_the_count_of_attempts_outlives_the_turn_of_a_stock_worker(store, redis):
    """A stock worker counts on the same key and lets it expire; our next claim takes that back."""
    await store.stock("a")
    await redis.setex("arq:retry:a", 88_400, 1)
    job = await store.claim_one()

    assert job.attempt == 2
    assert await redis.ttl("arq:retry:a") == -1


async def test_a_death_without_an_attempt_counts_none(store, redis):
    """A job that was out of attempts when it was claimed: what counts is the last attempt that was made."""
    await store.enqueue("a")
    await store.claim_one("w1")
    await store.lapse("a")
    job = await store.claim_one("w2")
    await store.finish("dead", job, fields=["error", "{}"])
    record = await store.record("a")
    told = [event for _, row in await redis.xrange(keys.EVENTS) for event in orjson.loads(row[b"e"])]

    assert job.attempt == 2
    assert (record["status"], record["attempt"]) == ("dead", "1")
    assert [lost["attempt"] for lost in await store.failed("a")] == [1]
    assert (told[-1]["event"], told[-1]["attempt"]) == ("dead", 1)


async def test_a_retry_without_a_wait_is_queued_and_wakes_a_worker(store):
    """It can run at once, here or elsewhere."""
    [job] = await claimed(store)
    await store.claim("w2")
    await store.finish("retry", job, due=START)

    assert await store.status("a") == "queued"
    assert await store.inbox("w2") == ["wake"]


async def test_a_retry_to_come_is_known_to_a_worker(store):
    """A worker is woken to learn the due time: it need not poll for it."""
    [job] = await claimed(store)
    await store.claim("w2")
    await store.finish("retry", job, due=START + 50)

    assert await store.inbox("w2") == ["wake"]


async def test_a_job_put_back_keeps_its_place_and_costs_no_attempt(store, redis):
    """An interrupted job is first again, as attempt 1 again."""
    [job] = await claimed(store, "a")
    store.now += SECOND
    await store.enqueue("b")
    await store.finish("requeued", job)
    counted = await redis.exists("arq:retry:a")
    got = await store.claim("w2", slots=1)

    assert counted == 0
    assert [(one.id, one.attempt) for one in got.jobs] == [("a", 1)]
    assert await store.failed("a") == []


async def test_a_job_put_back_after_a_failure_keeps_that_count(store):
    """Only the interrupted attempt is free."""
    [job] = await claimed(store)
    await store.finish("retry", job, due=START)
    second = await store.claim_one()
    await store.finish("requeued", second)
    third = await store.claim_one()

    assert (second.attempt, third.attempt) == (2, 2)


async def test_a_job_may_be_put_back_for_later(store):
    """A job that this worker does not know waits a little, keeping the due time that its grace counts from."""
    [job] = await claimed(store)
    await store.finish("requeued", job, due=START + 2 * SECOND)

    assert await store.score("a") == START + 2 * SECOND
    assert (await store.claim("w2")).ids == []
    store.now += 2 * SECOND
    assert (await store.claim_one("w2")).due == START


async def test_an_ending_frees_its_place_in_the_limits_and_wakes_a_worker(store, redis):
    """A job that a limit held back starts as soon as one ends."""
    await redis.hset(keys.QUEUE + "llm", "max_running", 1)
    await store.enqueue("a", "b", queue="llm")
    first = await store.claim("w1", queues=["llm"])
    await store.claim("w2", queues=["llm"])
    await store.finish("succeeded", *first.jobs)

    assert await store.inbox("w2") == ["wake"]
    assert (await store.claim("w2", queues=["llm"])).ids == ["b"]


async def test_an_ending_takes_a_request_to_abort_with_it(store, redis):
    """arq:abort keeps nothing of a job that has ended (arq#485)."""
    [job] = await claimed(store)
    await redis.zadd("arq:abort", {"a": START})
    await store.finish("succeeded", job)

    assert await redis.exists("arq:abort") == 0


async def test_a_stock_made_job_ends_like_any_other(store):
    """Its record is made at the claim and closed at the end."""
    await store.stock("a")
    job = await store.claim_one()
    await store.finish("succeeded", job, fields=["function", "t.g"])

    assert (await store.record("a"))["function"] == "t.g"
    assert await store.listed() == await store.listed("succeeded") == {"a"}


async def test_the_failed_attempts_of_a_job_are_bounded(store, redis):
    """The last fifty are kept, for a month."""
    for n in range(55):
        [job] = await claimed(store) if n == 0 else (await store.claim()).jobs
        await store.finish("retry", job, due=START, failed=orjson.dumps({"attempt": n}))

    assert [one["attempt"] for one in await store.failed("a")] == list(range(5, 55))
    assert await redis.ttl(keys.ATTEMPTS + "a") > 0


async def test_the_feed_tells_every_step(store):
    """In the order in which it happened, with the attempt."""
    [job] = await claimed(store)
    await store.finish("retry", job, due=START)
    await store.finish("succeeded", await store.claim_one())

    assert [event for event, _ in await store.events()] == ["queued", "running", "retrying", "running", "succeeded"]


async def test_a_job_of_a_queue_that_is_renewed_meanwhile_is_written(store):
    """Renewing and finishing do not disturb each other."""
    [job] = await claimed(store)
    store.now += LEASE - 1
    await store.renew()

    assert await store.finish("succeeded", job) == [1]
