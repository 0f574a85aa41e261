"""release.lua: the jobs of a dead worker, given back at once."""

import orjson

from offload.store import keys
from support.clockwork import SECOND, START


async def test_the_jobs_of_a_dead_worker_are_due_at_once(store, redis):
    """Long before their lease ends, as the next attempt, with what is known of the loss."""
    await store.enqueue("a", "b")
    await store.claim("w1")
    store.now += SECOND
    given, dead = await store.release("w1")
    again = await store.claim("w2")
    [lost] = await store.failed("a")

    assert (given, dead) == (["a", "b"], [])
    assert [(job.id, job.attempt, job.lost) for job in again.jobs] == [("a", 2, None), ("b", 2, None)]
    assert (lost["attempt"], lost["worker"], lost["started"], lost["ended"]) == (1, "w1", START, store.now)
    assert lost["error"]["type"] == "WorkerLost"
    assert lost["error"]["message"] == "it was killed"


async def test_a_lost_job_is_the_first_to_run_again(store):
    """However long the queue behind it: it takes its old place."""
    await store.enqueue("a")
    await store.claim("w1")
    await store.enqueue("b")
    await store.release("w1")
    claimed = await store.claim("w2", slots=1)

    assert [job.id for job in claimed.jobs] == ["a"]


async def test_a_lost_attempt_says_what_else_its_worker_ran(store):
    """By id and function, without itself: one of them may be what killed the worker."""
    await store.enqueue("a")
    await store.enqueue("b", function="t.greedy", max_tries=1)
    await store.claim("w1")
    await store.release("w1")
    [lost_a], [lost_b] = await store.failed("a"), await store.failed("b")

    assert lost_a["error"]["details"] == {
        "also_running_count": 1,
        "also_running": [{"id": "b", "function": "t.greedy"}],
    }
    assert lost_b["error"]["details"] == {"also_running_count": 1, "also_running": [{"id": "a", "function": "t.f"}]}
    assert orjson.loads((await store.record("b"))["error"]) == lost_b["error"]


async def test_what_else_a_worker_ran_is_named_up_to_twenty(store):
    """And counted beyond; a job that ran alone names none."""
    await store.enqueue(*(f"j{n}" for n in range(25)))
    await store.claim("w1", slots=25)
    await store.release("w1")
    await store.claim("w2", slots=1)
    await store.release("w2")
    first, alone = await store.failed("j0")
    named = [one["id"] for one in first["error"]["details"]["also_running"]]

    assert (len(named), "j0" in named) == (20, False)
    assert first["error"]["details"]["also_running_count"] == 24
    assert alone["error"]["details"] == {"also_running_count": 0}


async def test_lost_attempts_are_counted_as_what_they_are(store, redis):
    """In the counts by function: failed, or dead with the last."""
    await store.enqueue("a", max_tries=1)
    await store.enqueue("b")
    await store.claim("w1")
    await store.release("w1")

    assert await redis.hgetall(f"{keys.COUNTS}{START // 3_600_000}") == {b"dead t.f": b"1", b"failed t.f": b"1"}


async def test_a_release_wakes_an_idle_worker(store):
    """Nobody has to poll for a lost job."""
    await store.enqueue("a")
    await store.claim("w1")
    await store.claim("w2")
    await store.release("w1")

    assert await store.inbox("w2") == ["wake"]


async def test_a_job_out_of_attempts_is_dead_with_its_worker(store, redis):
    """A job that kills its worker does not do so for ever; its own max_tries counts before the default."""
    await store.enqueue("a", max_tries=1)
    await store.enqueue("b")
    await store.claim("w1")
    given, dead = await store.release("w1", max_tries=2)
    record = await store.record("a")

    assert (given, dead) == (["b"], ["a"])
    assert (record["status"], record["payload"]) == ("dead", "payload of a")
    assert "WorkerLost" in record["error"]
    assert await redis.exists("arq:retry:a", "arq:in-progress:a") == 0
    assert await store.score("a") is None


async def test_nothing_of_a_dead_worker_is_left(store, redis):
    """Neither its list, nor its description, nor its inbox, nor its note that it is idle."""
    await store.enqueue("a")
    await store.claim("w1", queues=["default", "mail"])
    await redis.zadd(keys.WORKERS, {"w1": START})
    await redis.set(keys.WORKER + "w1", "{}", ex=30)
    await redis.rpush(keys.INBOX + "w1", "wake")
    await store.release("w1")

    assert not [key for key in await store.snapshot() if "w1" in key]
    assert await redis.zscore(keys.WORKERS, "w1") is None
    assert await store.idle("default") == set()


async def test_a_released_worker_is_not_woken(store):
    """Its note that it is idle goes with it: a wake-up must not be lost on the dead."""
    await store.claim("w2")
    store.now += 1
    await store.claim("w1")
    await store.release("w1")
    await store.enqueue("a")

    assert await store.inbox("w1") == []
    assert await store.inbox("w2") == ["wake"]


async def test_what_the_worker_no_longer_held_is_left_alone(store):
    """A job that another worker has by now keeps its lease and its count."""
    await store.enqueue("a")
    await store.claim("w1")
    await store.lapse("a")
    await store.claim("w2")
    await store.redis.zadd(keys.RUNNING + "w1", {"a": store.now})
    score = await store.score("a")
    given, dead = await store.release("w1")

    assert (given, dead) == ([], [])
    assert (await store.score("a"), await store.status("a")) == (score, "running")
    assert await store.redis.get("arq:in-progress:a") == b"w2:1"


async def test_a_release_frees_its_places_in_the_limits(store, redis):
    """A lost job holds no place of max_running."""
    await redis.hset(keys.QUEUE + "default", "max_running", 1)
    await store.enqueue("a")
    await store.claim("w1")
    await store.release("w1")

    assert (await store.claim("w2")).ids == ["a"]


async def test_the_late_finish_of_a_released_worker_writes_nothing(store):
    """A worker that was only believed dead is fenced."""
    await store.enqueue("a")
    job = await store.claim_one("w1")
    await store.release("w1")

    assert await store.finish("succeeded", job) == [0]
    assert await store.status("a") == "queued"


async def test_where_the_culprit_is_known_only_its_attempt_counts(store, redis):
    """The others go back as if they had not run: the same attempt again, nothing on record."""
    await store.enqueue("a", "b")
    await store.enqueue("c", max_tries=1)
    await store.claim("w1")
    given, dead = await store.release("w1", culprit="a")
    again = await store.claim("w2")

    assert (given, dead) == (["a", "b", "c"], [])
    assert [(job.id, job.attempt) for job in again.jobs] == [("a", 2), ("b", 1), ("c", 1)]
    assert [len(await store.failed(one)) for one in "abc"] == [1, 0, 0]
    assert await redis.hgetall(f"{keys.COUNTS}{START // 3_600_000}") == {b"failed t.f": b"1", b"requeued t.f": b"2"}


async def test_a_culprit_that_the_worker_no_longer_held_costs_nobody_else_an_attempt(store):
    """Its job is another's by now; the rest is innocent all the same."""
    await store.enqueue("a", "b")
    await store.claim("w1")
    await store.redis.set("arq:in-progress:a", "w2:1", ex=60)
    given, _ = await store.release("w1", culprit="a")

    assert given == ["b"]
    assert (await store.claim_one("w3")).attempt == 1
