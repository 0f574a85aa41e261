"""lib/callback.lua: whatever ends a job puts its callback in, in the same script."""

import json

import pytest

from offload.domain.callbacks import KEPT_S
from offload.store import keys
from support.clockwork import LEASE, SECOND, START

TEMPLATE = {
    "queue": "webhook",
    "fields": ["function", "webhook.callback", "max_tries", "10"],
    "options": {"parent": "a", "callback": {"job": "a"}},
}
PAYLOAD = b"its own payload"


async def enqueue(store, *ids, **about):
    return await store.enqueue(*ids, callback=PAYLOAD, callback_job=json.dumps(TEMPLATE), **about)


async def told(store, job_id="callback:a:1"):
    """What a callback tells of, as the worker that claims it learns it."""
    return json.loads((await store.record(job_id))["options"])["callback"]


@pytest.mark.parametrize("verb", ["succeeded", "dead", "aborted"])
async def test_an_attempt_that_ends_its_job_puts_the_callback_in(store, redis, verb):
    """The callback is queued with its own payload, function and tries, and knows which job ended, how and when."""
    await enqueue(store, "a")
    await store.finish(verb, await store.claim_one())

    assert await store.score("callback:a:1", "webhook") == START
    assert await redis.get("arq:job:callback:a:1") == PAYLOAD
    record = await store.record("callback:a:1")
    assert (record["function"], record["max_tries"], record["status"]) == ("webhook.callback", "10", "queued")
    assert json.loads(record["options"])["parent"] == "a"
    assert await told(store) == {"job": "a", "status": verb, "at": START}
    assert await redis.sismember(keys.QUEUES, "webhook")


@pytest.mark.parametrize("verb", ["retry", "requeued"])
async def test_an_attempt_that_ends_nothing_puts_none_in(store, verb):
    """Between attempts nobody is told."""
    await enqueue(store, "a")
    await store.finish(verb, await store.claim_one(), due=START + SECOND)

    assert await store.record("callback:a:1") == {}


@pytest.mark.parametrize("due", [0, START + 60 * SECOND])
async def test_a_job_aborted_while_it_waits_has_a_callback(store, due):
    """Queued or deferred."""
    await enqueue(store, "a", due=due)
    await store.run("abort", 60_000, 60_000, 1, "default", "a", b"", "")

    assert (await told(store))["status"] == "aborted"


async def test_a_job_aborted_after_its_lease_ran_out_has_one_callback(store):
    """The late worker's ending counts no more, and tells nobody a second time."""
    await enqueue(store, "a")
    job = await store.claim_one()
    await store.lapse("a")
    await store.run("abort", 60_000, 60_000, 1, "default", "a", b"", "")
    written = await store.finish("succeeded", job)

    assert written == [0]
    assert (await told(store))["status"] == "aborted"
    assert await store.record("callback:a:2") == {}


async def test_the_last_attempt_of_a_dead_worker_has_a_callback(store):
    """The script that gives a dead worker's jobs back tells of those out of attempts, and of no other."""
    await enqueue(store, "a", max_tries=1)
    await enqueue(store, "b", max_tries=2)
    await store.claim("w1")
    given, dead = await store.release("w1")

    assert (given, dead) == (["b"], ["a"])
    assert (await told(store))["status"] == "dead"
    assert await store.record("callback:b:1") == {}


async def test_each_end_has_a_callback_of_its_own(store):
    """A replayed job that ends again is told of again, under another id."""
    await enqueue(store, "a")
    await store.finish("dead", await store.claim_one())
    await store.run("replay", "a")
    store.now += SECOND
    await store.finish("succeeded", await store.claim_one())

    assert (await store.record("a"))["callbacks"] == "2"
    assert (await told(store))["status"] == "dead"
    assert await told(store, "callback:a:2") == {"job": "a", "status": "succeeded", "at": START + SECOND}


async def test_a_job_under_an_id_used_before_takes_the_next_number(store):
    """Callbacks outlive a record that is pruned; the next job of that id is told of all the same."""
    await enqueue(store, "a")
    await store.finish("succeeded", await store.claim_one(), result=b"", keep=0)
    store.now += KEPT_S * 1000
    await store.run("prune", 100, 3_600_000)
    await enqueue(store, "a")
    await store.finish("dead", await store.claim_one())

    assert (await told(store, "callback:a:2"))["status"] == "dead"


async def test_a_job_with_a_callback_is_kept_as_long_as_deliveries_are_tried(store, redis):
    """At least four days, whatever was asked for; one without goes when it was to go."""
    await enqueue(store, "a")
    await store.enqueue("b")
    await store.finish("succeeded", *(await store.claim()).jobs, kept=60_000)

    assert int((await store.record("a"))["expires"]) == START + KEPT_S * 1000
    assert int((await store.record("b"))["expires"]) == START + 60_000
    assert await redis.pttl(keys.RECORD + "a") > KEPT_S * 1000


async def test_many_ends_wake_one_worker(store):
    """The callbacks of one script call wake one idle worker of their queue, as an enqueue does."""
    await enqueue(store, "a", "b", "c")
    jobs = (await store.claim("w1")).jobs
    await store.claim("w2", queues=["webhook"])
    await store.claim("w3", queues=["webhook"])
    await store.finish("succeeded", *jobs)

    assert [len(await store.inbox(one)) for one in ("w2", "w3")] == [0, 1]


async def test_a_job_of_a_stock_producer_has_none(store):
    """Also where it uses the id of a job that had one."""
    await enqueue(store, "a")
    await store.finish("succeeded", await store.claim_one(), result=b"", keep=0)
    await store.stock("a")
    await store.lapse("a", ms=LEASE)
    await store.finish("succeeded", await store.claim_one())

    assert await store.record("callback:a:2") == {}
