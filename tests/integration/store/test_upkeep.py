"""prune.lua, list.lua and note.lua: what has outlived its keep, pages of jobs, what running jobs say."""

import orjson

from offload.store import keys
from support.clockwork import SECOND, START

HOUR = 3_600_000


async def prune(store, limit=100, age=HOUR):
    return await store.run("prune", limit, age)


async def ended(store, *ids, verb="succeeded", **about):
    await store.enqueue(*ids)
    await store.finish(verb, *(await store.claim(slots=len(ids))).jobs, **about)


async def test_a_record_is_pruned_when_its_keep_is_over(store, redis):
    """With its lists, its log and its attempts, and not a moment earlier."""
    await store.enqueue("a")
    job = await store.claim_one()
    await store.run("note", 10, "a", job.token, "log", b'{"level": "info"}')
    await store.finish("dead", job, kept=SECOND, keep=0, failed=b'{"attempt": 1}')
    store.now += SECOND - 1
    early = await prune(store)
    store.now += 1
    gone = await prune(store)
    others = (keys.COUNTS, keys.MINUTE, keys.TOTALS, keys.EVENTS, keys.QUEUES, keys.IDLE)
    left = {key for key in await store.snapshot() if not key.startswith(others)}

    assert (early, gone, left) == (0, 1, set())


async def test_pruning_takes_a_bounded_number_at_a_time(store):
    """The answer says how many went, so that the caller knows whether to go on."""
    await ended(store, "a", "b", "c", kept=SECOND)
    store.now += SECOND

    assert [await prune(store, 2), await prune(store, 2), await prune(store, 2)] == [2, 1, 0]


async def test_a_replayed_job_is_not_pruned(store):
    """Its record lives on with it."""
    await ended(store, "a", verb="dead", kept=SECOND)
    await store.run("replay", "a")
    store.now += SECOND

    assert await prune(store) == 0
    assert await store.status("a") == "queued"


async def test_a_record_that_redis_dropped_leaves_the_lists(store, redis):
    """The lists do not keep ids of which nothing is known."""
    await ended(store, "a", "b", kept=SECOND)
    await redis.delete("offload:job:a")
    store.now += SECOND
    await prune(store)

    assert await store.listed() == await store.listed("succeeded") == set()


async def test_a_request_to_abort_that_nobody_answers_goes_after_an_hour(store, redis):
    """Arq never removes old ones (arq#485)."""
    await redis.zadd("arq:abort", {"old": START, "new": START + 1})
    store.now += HOUR
    await prune(store)

    assert await redis.zrange("arq:abort", 0, -1) == [b"new"]


async def test_workers_without_a_beat_leave_the_list(store, redis):
    """A minute is enough."""
    await redis.zadd(keys.WORKERS, {"gone": START, "here": START + 1})
    store.now += 60 * SECOND
    await prune(store)

    assert await redis.zrange(keys.WORKERS, 0, -1) == [b"here"]


async def test_places_whose_lease_is_over_are_pruned(store, redis):
    """A stock worker that ended a lost job left its place in the queue; one whose lease stands keeps it."""
    await store.enqueue("lost")
    await store.claim("w1")
    await store.lapse("lost")
    await store.ended_by_stock("lost")
    await store.enqueue("held")
    await store.claim("w1")
    await prune(store)

    assert await redis.zrange(keys.RUNNING_ON + "default", 0, -1) == [b"held"]


async def test_the_count_of_attempts_goes_with_a_job_that_left_its_queue(store, redis):
    """Whoever took it out: a record that nothing will run is forgotten, and its count with it."""
    await store.enqueue("a")
    await store.claim("w1")
    await store.lapse("a")
    await redis.zrem("arq:queue", "a")
    await redis.delete("arq:job:a")
    await prune(store)

    assert await redis.exists("arq:retry:a", "offload:job:a") == 0


async def test_pages_list_the_newest_first(store):
    """Each job once, whatever the size of a page."""
    for n in range(7):
        await store.enqueue(f"j{n}")
        store.now += 1
    first, after = await store.page(limit=3)
    second, after = await store.page(limit=3, after=after)
    third, end = await store.page(limit=3, after=after)

    assert (first, second, third, end) == (["j6", "j5", "j4"], ["j3", "j2", "j1"], ["j0"], "")


async def test_jobs_of_one_moment_are_each_listed_once(store):
    """A batch of one time spans pages without a gap or a double."""
    await store.enqueue(*(f"j{n:02}" for n in range(25)))
    seen, after = await store.page(limit=4)
    while after:
        more, after = await store.page(limit=4, after=after)
        seen += more

    assert seen == [f"j{n:02}" for n in range(24, -1, -1)]


async def test_a_cursor_survives_that_its_job_moves_on(store):
    """The job that a page ended with has another status by now: the next page goes on from where it stood."""
    await store.enqueue("a", "b", "c")
    store.now += 1
    await store.enqueue("d", "e")
    first, after = await store.page("queued", limit=3)
    await store.redis.zadd("arq:queue", {"c": START - SECOND})
    moved = await store.claim_one(slots=1)
    second, _ = await store.page("queued", limit=3, after=after)

    assert moved.id == first[-1]
    assert first == ["e", "d", "c"]
    assert second == ["b", "a"]


async def test_a_cursor_survives_that_its_job_is_gone(store):
    """Pruned or aborted meanwhile, among others of its moment."""
    await store.enqueue("a", "b", "c", "d")
    first, after = await store.page("queued", limit=2)
    await store.abort("c", keep=0, kept=1000)
    second, _ = await store.page("queued", limit=5, after=after)

    assert (first, second) == (["d", "c"], ["b", "a"])


async def test_a_list_moves_the_jobs_whose_time_has_come(store):
    """A deferred job that is due is listed as queued."""
    await store.enqueue("a", due=START + SECOND)
    before, _ = await store.page("deferred")
    store.now += SECOND
    after, _ = await store.page("deferred")
    queued, _ = await store.page("queued")

    assert (before, after, queued) == (["a"], [], ["a"])
    assert await store.status("a") == "queued"


async def test_progress_is_kept_and_told(store, redis):
    """The last word counts in the record, each goes into the feed."""
    await store.enqueue("a")
    job = await store.claim_one()
    notes = [part for n in (1, 2) for part in ("a", job.token, "progress", orjson.dumps({"fraction": n / 4, "at": 1}))]
    written = await store.run("note", 10, *notes)

    assert written == [1, 1]
    assert orjson.loads((await store.record("a"))["progress"]) == {"fraction": 0.5, "at": 1}
    assert [event for event, _ in await store.events()] == ["queued", "running", "progress", "progress"]


async def test_the_log_of_a_job_is_bounded(store, redis):
    """The last lines are kept, in order, and not for ever."""
    await store.enqueue("a")
    job = await store.claim_one()
    for n in range(5):
        await store.run("note", 3, "a", job.token, "log", orjson.dumps({"n": n}))

    assert [orjson.loads(line)["n"] for line in await redis.lrange(keys.LOG + "a", 0, -1)] == [2, 3, 4]
    assert await redis.ttl(keys.LOG + "a") > 0


async def test_a_late_note_is_not_written(store):
    """What a worker says of a job that it no longer holds counts for nothing."""
    await store.enqueue("a", "b")
    a, b = (await store.claim()).jobs
    await store.lapse("a", ms=0)
    written = await store.run("note", 3, "a", a.token, "log", b"{}", "b", b.token, "log", b"{}")

    assert written == [0, 1]
    assert await store.redis.exists(keys.LOG + "a") == 0


async def test_a_note_may_have_any_field(store):
    """Also one that the feed itself uses where several jobs share what is told of them."""
    await store.enqueue("a")
    job = await store.claim_one()
    written = await store.run("note", 3, "a", job.token, "log", b'{"ids": 5}', "a", job.token, "log", b'{"n": 1}')

    assert written == [1, 1]
    assert (await store.events())[-2:] == [("log", "a"), ("log", "a")]
