"""The lists of jobs: who is in which, and walking them with list.lua."""

import pytest

from offload.domain.fingerprints import fingerprint
from offload.store import keys
from support.clockwork import SECOND, START

ONE, OTHER = "a" * 12, "b" * 12
NOT_OF_A_JOB = (keys.COUNTS, keys.MINUTE, keys.TOTALS, keys.EVENTS, keys.QUEUES, keys.IDLE, keys.INBOX)


async def members(store, name):
    return {one.decode() for one in await store.redis.zrange(name, 0, -1)}


async def walked(store, *lists, **about):
    """Follow a walk to its end; return all ids and how many steps it took."""
    seen, after, steps = [], "", 0
    while steps == 0 or after:
        ids, after = await store.page(*lists, after=after, **about)
        seen, steps = seen + ids, steps + 1
    return seen, steps


async def test_a_new_job_is_listed_by_function_queue_and_tags(store):
    """In the call that puts it in."""
    await store.enqueue("a", queue="mail", tags='["x", "y: z"]')

    assert await members(store, keys.OF_FUNCTION + "t.f") == {"a"}
    assert await members(store, keys.OF_QUEUE + "mail") == {"a"}
    assert await members(store, keys.WITH_TAG + "x") == await members(store, keys.WITH_TAG + "y: z") == {"a"}


async def test_a_stock_producers_job_is_listed_as_soon_as_it_is_known(store):
    """Its queue from its first claim, its function from when a worker has read it, all by the time of the claim."""
    await store.stock("a", queue="mail")
    job = await store.claim_one(queues=("mail",))
    by_queue, by_function = await members(store, keys.OF_QUEUE + "mail"), await members(store, keys.OF_FUNCTION + "t.f")
    await store.finish("retry", job, due=START)

    assert (by_queue, by_function) == ({"a"}, set())
    assert await members(store, keys.OF_FUNCTION + "t.f") == {"a"}
    assert (await store.record("a"))["function"] == "t.f"


async def test_a_stock_producers_job_that_is_aborted_is_listed(store):
    """By what its payload says."""
    await store.stock("a", queue="mail")
    await store.abort("a", queues=("mail",))

    assert await members(store, keys.OF_QUEUE + "mail") == await members(store, keys.OF_FUNCTION + "t.f") == {"a"}


@pytest.mark.parametrize("verb", ["retry", "dead"])
async def test_a_failed_attempt_lists_its_job_under_the_error(store, verb):
    """Under each error that it ever had, also after a replay."""
    await store.enqueue("a")
    await store.finish("retry", await store.claim_one(), fingerprint=ONE, due=START)
    await store.finish(verb, await store.claim_one(), fingerprint=OTHER, due=START)
    await store.replay("a")

    assert await members(store, keys.WITH_ERROR + ONE) == await members(store, keys.WITH_ERROR + OTHER) == {"a"}


async def test_an_attempt_lost_with_its_worker_has_a_fingerprint(store):
    """The scripts write the one that the domain makes, when a lease ran out and when a guardian gives jobs back."""
    lost = fingerprint("t.f", "WorkerLost", "whatever it was")
    await store.enqueue("a", "b")
    await store.claim("w1")
    await store.lapse("a", "b")
    await store.claim("w2")
    by_lease = await members(store, keys.WITH_ERROR + lost)
    await store.release("w2")

    assert by_lease == {"a", "b"}
    assert [one["error"]["fingerprint"] for one in await store.failed("a")] == [lost, lost]


async def test_a_job_is_listed_under_its_last_fifty_errors(store):
    """An endless row of different errors does not fill Redis."""
    await store.enqueue("a", max_tries=1000)
    errors = [f"{n:012x}" for n in range(52)]
    for one in errors:
        await store.finish("retry", await store.claim_one(), fingerprint=one, due=START)
    listed = [one for one in errors if await members(store, keys.WITH_ERROR + one)]

    assert listed == errors[2:]


@pytest.mark.parametrize("way", ["prune", "forget"])
async def test_a_job_that_goes_leaves_every_list(store, way):
    """Nothing of it is left, whoever takes it out."""
    await store.enqueue("a", queue="mail", tags='["x"]')
    job = await store.claim_one(queues=("mail",))
    await store.finish("retry", job, due=START, fingerprint=OTHER, failed=b"{}")
    job = await store.claim_one(queues=("mail",))
    await store.finish("dead", job, keep=0, kept=SECOND, fingerprint=ONE, failed=b"{}")
    store.now += SECOND
    await (store.run("prune", 10, 1) if way == "prune" else store.run("forget", "a"))

    assert {key for key in await store.snapshot() if not key.startswith(NOT_OF_A_JOB)} == set()


async def test_an_id_that_a_stock_producer_uses_again_leaves_the_lists_of_the_old_job(store):
    """The job that ended is not the new one's business."""
    await store.enqueue("a", tags='["x"]')
    await store.finish("dead", await store.claim_one(), keep=0, fingerprint=ONE)
    await store.stock("a", queue="mail")
    store.now += 1
    await store.claim_one(queues=("mail",))

    assert await members(store, keys.WITH_TAG + "x") == await members(store, keys.WITH_ERROR + ONE) == set()
    assert await members(store, keys.OF_QUEUE + "default") == set()
    assert await members(store, keys.OF_QUEUE + "mail") == {"a"}


async def test_several_lists_show_what_is_in_all_of_them(store):
    """Whichever of them is the smallest."""
    await store.enqueue("a", "b", tags='["x"]')
    await store.enqueue("c", "d", queue="mail", tags='["x"]')
    await store.enqueue("e", queue="mail")

    assert (await store.page("queue:mail", "tag:x"))[0] == ["d", "c"]
    assert (await store.page("tag:x", "queue:mail", "queued", "function:t.f"))[0] == ["d", "c"]
    assert (await store.page("tag:x", "dead"))[0] == (await store.page("tag:nobody"))[0] == []


async def test_a_step_looks_at_a_bounded_number_of_candidates(store):
    """It ends with what it found, and says where to go on, until there is nothing more."""
    for n in range(30):
        await store.enqueue(f"j{n:02}", queue="mail" if n % 10 == 0 else "default", tags='["x"]')
        await store.enqueue(f"k{n:02}", queue="mail")
        store.now += 1
    ids, after = await store.page("tag:x", "queue:mail", candidates=5)
    seen, steps = await walked(store, "tag:x", "queue:mail", candidates=5)

    assert (ids, after != "") == ([], True)
    assert (seen, steps) == (["j20", "j10", "j00"], 6)


async def test_a_walk_ends_when_its_last_candidate_was_seen(store):
    """A full page that was the last has no next."""
    await store.enqueue("a", "b", "c", "d")

    assert await walked(store, limit=2) == (["d", "c", "b", "a"], 2)


@pytest.mark.parametrize(
    ("window", "found"),
    [
        ((START + 1, "+inf"), ["j3", "j2", "j1"]),
        (("-inf", START + 1), ["j0"]),
        ((START + 1, START + 3), ["j2", "j1"]),
        ((START + 9, "+inf"), []),
    ],
)
async def test_a_window_of_time_holds_its_start_and_not_its_end(store, window, found):
    """In one step, and in many; also through two lists."""
    for n in range(4):
        await store.enqueue(f"j{n}", tags='["x"]')
        store.now += 1

    assert (await store.page(window=window))[0] == found
    assert (await walked(store, limit=1, window=window))[0] == found
    assert (await walked(store, "tag:x", "queued", window=window, candidates=1))[0] == found


async def test_jobs_of_one_moment_are_walked_by_the_bytes_of_their_ids(store):
    """As sorted sets are, whatever the locale of the server; the job of the cursor may be gone."""
    ids = ["B", "a", "A", "_", "é", "aa", "0", "Z"]
    await store.enqueue(*ids)
    ordered = sorted(ids, key=str.encode, reverse=True)
    seen, after = await store.page(limit=1)
    while after:
        await store.abort(seen[-1], keep=0, kept=0)
        await store.run("prune", 10, 1)
        more, after = await store.page(limit=1, after=after)
        seen += more

    assert seen == ordered


async def test_walking_while_jobs_move_shows_each_that_stays_once(store):
    """Jobs that are claimed, ended, put in and forgotten meanwhile neither hide nor repeat those that stay."""
    staying = [f"s{n:02}" for n in range(20)]
    for n, one in enumerate(staying):
        await store.enqueue(one, f"m{n:02}", queue="other", tags='["x"]')
        store.now += n % 2
    seen, after, turn = [], "", 0
    while turn == 0 or after:
        ids, after = await store.page("tag:x", "queued", limit=3, after=after)
        seen, turn = seen + ids, turn + 1
        await store.enqueue(f"new{turn}", tags='["x"]')
        await store.abort(f"m{20 - turn:02}", f"m{turn:02}", queues=("other",), keep=0, kept=0)
        await store.run("prune", 10, 1)

    assert [one for one in seen if one in staying] == staying[::-1]
    assert len(seen) == len(set(seen))


async def test_what_outlived_its_record_is_swept_from_the_lists_that_show_it(store, redis):
    """Redis drops a record by itself when nobody pruned for a day; one that is there stays."""
    await store.enqueue("a", "b", tags='["x"]')
    await redis.delete(keys.RECORD + "a", keys.ARQ_JOB + "a")
    await redis.zrem("arq:queue", "a")
    gone = await store.run("sweep", 2, "tag:x", "queued", "a", "b")

    assert gone == 1
    assert await members(store, keys.WITH_TAG + "x") == await store.listed() == await store.listed("queued") == {"b"}
