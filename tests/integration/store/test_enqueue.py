"""enqueue.lua: putting new jobs in, and waking a worker."""

import pytest

from offload.store import keys
from support.clockwork import SECOND, START


async def test_a_new_job_is_queued_under_arqs_keys(store, redis):
    """Payload, due time, record and lists are there, and nothing of it expires while the job waits."""
    created = await store.enqueue("a", options=b"{}")

    assert created == [1]
    assert await redis.get("arq:job:a") == b"payload of a"
    assert await redis.zscore("arq:queue", "a") == START
    assert await store.record("a") == {
        "queue": "default", "status": "queued", "enqueued": str(START), "due": str(START), "function": "t.f",
        "options": "{}",
    }  # fmt: skip
    assert (await store.listed(), await store.listed("queued")) == ({"a"}, {"a"})
    assert await redis.ttl("arq:job:a") == await redis.ttl("offload:job:a") == -1
    assert await store.events() == [("queued", "a")]


async def test_a_queue_of_ones_own_has_arqs_name_for_it(store, redis):
    """Queue q is arq:queue:q, and is known from then on."""
    await store.enqueue("a", queue="mail")

    assert await redis.zscore("arq:queue:mail", "a") == START
    assert await redis.smembers(keys.QUEUES) == {b"mail"}


async def test_a_job_for_later_is_deferred(store, redis):
    """It lies in the queue at its due time."""
    await store.enqueue("a", due=START + SECOND)

    assert (await store.status("a"), await store.score("a")) == ("deferred", START + SECOND)
    assert await redis.zscore(keys.DUE, "a") == START + SECOND
    assert await store.events() == [("deferred", "a")]


async def test_a_job_due_in_the_past_is_queued_where_it_belongs(store):
    """A due time before now keeps its place before younger jobs."""
    await store.enqueue("young")
    await store.enqueue("old", due=START - SECOND)

    assert await store.status("old") == "queued"
    assert (await store.claim()).ids == ["old", "young"]


@pytest.mark.parametrize("there", ["arq:job:a", "arq:result:a", "offload:job:a"])
async def test_an_id_that_exists_in_any_form_is_not_put_in_again(store, redis, there):
    """A payload, a result, ours or a stock producer's, or a record of that id: nothing is changed."""
    await (redis.hset(there, "status", "queued") if there == "offload:job:a" else redis.set(there, b"x", ex=60))
    before = await store.snapshot()
    created = await store.enqueue("a")
    await redis.srem(keys.QUEUES, "default")

    assert created == [0]
    assert await store.snapshot() == before


async def test_of_a_batch_only_the_new_jobs_are_put_in(store):
    """Each job answers for itself; one id twice in a batch counts once."""
    await store.enqueue("b")

    assert await store.enqueue("a", "b", "c", "c") == [1, 0, 1, 0]
    assert await store.listed("queued") == {"a", "b", "c"}


async def test_a_thousand_jobs_go_in_at_once(store):
    """One call takes a batch of 1,000, keeps its order of due times, and says so in the feed."""
    ids = [f"j{n:04}" for n in range(1000)]
    created = await store.enqueue(*ids)
    got = await store.claim(slots=1000)

    assert created == [1] * 1000
    assert got.ids == ids
    assert [job for event, job in await store.events() if event == "queued"] == ids


async def test_a_batch_wakes_one_idle_worker_of_each_queue(store):
    """Two idle workers: one is told, the latest to say it is idle, and the other is left in peace."""
    await store.claim("w1")
    store.now += 1
    await store.claim("w2")
    await store.enqueue("a", "b", "c")

    assert await store.inbox("w1") == []
    assert await store.inbox("w2") == ["wake"]
    assert await store.idle() == {"w1"}


async def test_a_worker_of_another_queue_is_not_woken(store):
    """Idleness is by queue."""
    await store.claim("w1", queues=["mail"])
    await store.enqueue("a")

    assert await store.inbox("w1") == []
    assert await store.idle("mail") == {"w1"}


async def test_a_stale_idle_note_is_passed_over(store):
    """A worker that has not polled for 5 s is dead: the next one is woken, and the note goes."""
    await store.claim("fresh")
    store.now += 6 * SECOND
    await store.claim("stale")
    store.now -= SECOND
    await store.claim("fresh")
    store.now += 6 * SECOND
    await store.redis.zadd(keys.IDLE + "default", {"fresh": store.now - 4 * SECOND, "stale": store.now - 6 * SECOND})
    await store.enqueue("a")
    await store.enqueue("b")

    assert (await store.inbox("fresh"), await store.inbox("stale")) == (["wake"], [])
    assert await store.idle() == set()


async def test_a_duplicate_wakes_nobody(store):
    """There is nothing new to do."""
    await store.enqueue("a")
    await store.claim("w1", slots=1)
    await store.claim("w2")
    await store.enqueue("a")

    assert await store.inbox("w2") == []
