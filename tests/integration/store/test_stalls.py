"""What held an event loop, in Redis: written in one step, grouped, counted, bounded; and what holds one just now."""

import time

import orjson
import pytest

from offload.domain.clock import now_ms
from offload.domain.errors import InvalidOptions
from offload.domain.filters import StallFilter
from offload.store import keys
from offload.store.connection import scripts
from offload.store.connection.blocking import connect, portable
from offload.store.connection.connection import client, settings_of
from offload.store.fleet import stalls
from offload.store.fleet.stalls import StallWriter
from offload.store.guardian import LeaseGuard
from support.server import restartable
from support.stalls import stall


def writer_of(url, process="w1"):
    """A writer with a connection of its own, as the reporter has it."""
    return StallWriter(lambda: connect(portable(settings_of(url))), process)


@pytest.fixture(autouse=True)
def may_block(blocking):
    """The writer is for a thread; these tests call it on their loop."""
    blocking.deactivate()


@pytest.fixture
def writer(redis, redis_server):
    """Where the reporter of the worker w1 puts records."""
    made = writer_of(redis_server.url)
    yield made
    made.close()


async def events(redis):
    """Return what the feed was told, oldest first."""
    return [one for _, fields in await redis.xrange(keys.EVENTS) for one in orjson.loads(fields[b"e"])]


async def test_one_step_lists_groups_counts_marks_and_tells(writer, store, redis):
    """A stall is listed, is in its group and in the totals, stands on its job, and is an event of the job's."""
    await store.enqueue("j1")
    writer.keep(stall())
    ((listed,), _), ((group,), _) = await stalls.list_stalls(redis, 10, None), await stalls.groups(redis, 10, None)
    event = (await events(redis))[-1]

    assert (listed["job_id"], listed["line"], listed["held_ms"]) == ("j1", 41, 300)
    assert (group.fingerprint, group.count, group.held_ms, group.max_ms) == (listed["fingerprint"], 1, 300, 300)
    assert group.last == {**listed, "at": group.last["at"]}
    assert await stalls.totals(redis) == {("step", "fetch.page"): (1, 300)}
    assert await redis.hget(keys.RECORD + "j1", "stalls") == b"1"
    assert (event["event"], event["id"], event["queue"]) == ("stalled", "j1", "default")
    assert (event["function"], event["line"], event["held_ms"]) == ("fetch.page", 41, 300)
    assert not event.keys() & {"stack", "code", "route"}


async def test_a_group_has_all_of_one_cause_over_the_fleet(writer, redis_server, redis):
    """Whichever worker met it, and however often: how many, how long in all, the longest, the last."""
    other = writer_of(redis_server.url, "w2")
    for held_ms, where in ((300, writer), (900, other), (200, writer)):
        where.keep(stall(held_ms=held_ms))
    other.keep(stall(file="/app/jobs/other.py", held_ms=5000))
    other.close()
    (first, second), _ = await stalls.groups(redis, 10, None)

    assert (first.held_ms, first.count) == (5000, 1)
    assert (second.held_ms, second.count, second.max_ms, second.last["held_ms"]) == (1400, 3, 900, 200)
    assert second.first_ms <= second.last_ms


async def test_groups_are_read_page_by_page(writer, redis):
    """The most time held first; a cursor goes on after the group it names."""
    for number in range(5):
        writer.keep(stall(file=f"/app/{number}.py", held_ms=100 * (number + 1)))
    first, cursor = await stalls.groups(redis, 2, None)
    second, last = await stalls.groups(redis, 3, cursor)

    assert [group.held_ms for group in (*first, *second)] == [500, 400, 300, 200, 100]
    assert last is None
    with pytest.raises(InvalidOptions):
        await stalls.groups(redis, 2, "x")


async def test_groups_are_bounded_and_the_oldest_goes(writer, redis):
    """A fleet with more causes than are kept forgets those that were met longest ago; and any after 30 days."""
    old = {name: stall(file=f"/app/{name}.py") for name in ("first", "second", "ancient")}
    for one in old.values():
        writer.keep(one)
    for name, ago in (("first", 2000), ("second", 1000), ("ancient", 31 * 86_400_000)):
        await redis.zadd(keys.STALL_SEEN, {old[name]["fingerprint"]: now_ms() - ago})
    for number in range(499):
        writer.keep(stall(file=f"/app/{number}.py"))
    kept = {group.last["file"] for group in (await stalls.groups(redis, 1000, None))[0]}

    assert (len(kept), await redis.zcard(keys.STALL_SEEN), await redis.zcard(keys.STALL_GROUPS)) == (500, 500, 500)
    assert kept & {one["file"] for one in old.values()} == {"/app/second.py"}
    assert await redis.exists(*(keys.STALL_GROUP + old[name]["fingerprint"] for name in ("first", "ancient"))) == 0


async def test_totals_are_bounded(writer, redis):
    """However many names there are, so many counters are kept; what is beyond them is counted as `other`."""
    await redis.hset(keys.STALL_TOTALS, mapping={f"step f{n}": 1 for n in range(1000)})
    writer.keep(stall())
    writer.keep(stall(function="f1"))
    totals = await stalls.totals(redis)

    assert totals["step", "other"] == (1, 300)
    assert totals["step", "f1"][0] == 2
    assert ("step", "fetch.page") not in totals


async def test_who_is_not_to_blame_is_not_marked(writer, store, redis):
    """What the collector or the machine did stands in the list, and not on the job that ran meanwhile."""
    await store.enqueue("j1")
    for kind in ("gc", "starved", "saturated", "gil-other-thread", "startup"):
        writer.keep(stall(kind=kind))

    assert await redis.hget(keys.RECORD + "j1", "stalls") is None
    assert len((await stalls.list_stalls(redis, 10, None))[0]) == 5


async def test_a_job_that_has_been_forgotten_gets_no_record(writer, redis):
    """A stall of a job that is no longer kept is listed, and makes no record of it."""
    writer.keep(stall())

    assert await redis.exists(keys.RECORD + "j1") == 0
    assert [one["id"] for one in await events(redis)] == ["j1"]


async def test_the_guardian_records_the_same_way(store, redis, redis_server):
    """A worker that it kills is one more of a group, without a fingerprint in the record it makes."""
    await store.enqueue("j1")
    guard = LeaseGuard(portable(settings_of(redis_server.url)), "w1", 1000)
    record = stall()
    del record["fingerprint"]
    guard.record_stall(record)
    guard.close()
    (group,), _ = await stalls.groups(redis, 10, None)

    assert group.fingerprint == stall()["fingerprint"]
    assert await redis.hget(keys.RECORD + "j1", "stalls") == b"1"


async def test_what_lasts_is_there_until_it_is_over(writer, store, redis):
    """While it lasts it is said who holds the loop, and since when; the record that follows ends that."""
    await store.enqueue("j1")
    writer.blocked(stall(held_ms=1000), is_news=True)
    before = now_ms()
    writer.blocked(stall(held_ms=2000), is_news=False)
    (lasts,) = await stalls.ongoing(redis, now_ms())
    others = await stalls.ongoing(redis, now_ms(), StallFilter(function="mail.send"))
    told = [one["event"] for one in await events(redis)]
    writer.keep(stall(held_ms=3000))

    assert (lasts["job_id"], lasts["line"]) == ("j1", 41)
    assert 2000 <= lasts["held_ms"] < 2000 + now_ms() - before + 1000
    assert others == []
    assert told == ["queued", "blocked"]
    assert await stalls.ongoing(redis, now_ms()) == []
    assert await redis.exists(keys.STALLING + "w1", keys.ONGOING) == 0


async def test_what_nobody_confirms_is_believed_for_a_moment_only(writer, redis):
    """A process that is killed while it is held leaves no word that stays."""
    writer.blocked(stall(held_ms=1000), is_news=True)

    assert 0 < await redis.ttl(keys.STALLING + "w1") <= stalls.FRESH_S
    assert await stalls.ongoing(redis, now_ms() + (stalls.FRESH_S + 1) * 1000) == []


async def test_stalls_are_filtered(writer, redis):
    """By each of their names, and by when they were."""
    writer.keep(stall())
    writer.keep(stall(kind="callback", job_id=None, function=None, worker=None, route="GET /x", process="api"))
    middle = now_ms()
    while now_ms() <= middle:
        pass
    writer.keep(stall(worker="w2", job_id="j2", line=7))

    async def found(**which):
        items, _ = await stalls.list_stalls(redis, 10, None, StallFilter(**which))
        return [one["job_id"] for one in items]

    assert await found() == ["j2", None, "j1"]
    assert await found(kind="callback") == [None]
    assert await found(function="fetch.page") == ["j2", "j1"]
    assert await found(route="GET /x") == [None]
    assert await found(worker="w2") == ["j2"]
    assert await found(job_id="j1") == ["j1"]
    assert await found(fingerprint=stall()["fingerprint"]) == ["j2", "j1"]
    assert await found(after_ms=middle + 1) == ["j2"]
    assert await found(before_ms=middle + 1, kind="step") == ["j1"]
    with pytest.raises(InvalidOptions):
        StallFilter(after_ms=2, before_ms=2)
    with pytest.raises(InvalidOptions):
        StallFilter(fingerprint="x")


async def test_clearing_forgets_lists_and_groups_but_no_totals(writer, redis):
    """What is counted for /metrics only ever grows."""
    for number in range(3):
        writer.keep(stall(line=number, file=f"/{number}"))
    writer.blocked(stall(), is_news=True)

    assert await stalls.clear(redis) == 3
    assert ((await stalls.list_stalls(redis, 10, None))[0], (await stalls.groups(redis, 10, None))[0]) == ([], [])
    assert await stalls.totals(redis) == {("step", "fetch.page"): (3, 900)}
    assert len(await stalls.ongoing(redis, now_ms())) == 1


async def test_what_redis_cannot_take_waits_and_is_written_with_its_own_time(monkeypatch):
    """While Redis is away records wait, and a record costs no waiting for Redis; then they are all there."""
    with restartable() as server:
        server.kill()
        late = writer_of(server.url)
        monkeypatch.setattr(stalls, "_LATE_MS", -1)
        late.keep(stall(job_id="first"))
        asked = time.monotonic()
        late.keep(stall(job_id="second"))
        waited = time.monotonic() - asked
        at = now_ms()
        server.start()
        monkeypatch.setattr(late, "_again_at", 0.0)
        is_more = late.flush()
        late.close()
        redis = client(settings_of(server.url))
        items, _ = await stalls.list_stalls(redis, 10, None, StallFilter(before_ms=at + 1))
        await redis.aclose()

    assert (is_more, late.lost) == (False, 0)
    assert waited < stalls._AGAIN_S
    assert [one["job_id"] for one in items] == ["second", "first"]


async def test_what_finds_no_room_is_counted_as_lost():
    """So many records wait; the oldest of more go, and all of them when the process ends before Redis is back."""
    with restartable() as server:
        server.kill()
        late = writer_of(server.url)
        for _ in range(stalls._WAITING + 3):
            late.keep(stall())
        before = late.lost
        late.close()

    assert (before, late.lost) == (3, stalls._WAITING + 3)


async def test_a_script_is_loaded_again_where_the_server_has_forgotten_it(writer, redis):
    """After a flush of scripts, or on another server, the blocking way works as the other."""
    writer.keep(stall())
    await redis.script_flush()
    writer.keep(stall())

    assert len((await stalls.list_stalls(redis, 10, None))[0]) == 2
    assert (await redis.script_exists(scripts.sha("stall"))) == [True]


async def test_what_workers_of_ones_own_are_blamed_for_is_told(writer, redis, redis_server):
    """Steps and callbacks of these workers, oldest first, and nothing else."""
    for one in (stall(line=1), stall(kind="gc"), stall(worker="w9"), stall(kind="callback", line=2)):
        writer.keep(one)
    blocking = connect(portable(settings_of(redis_server.url)))
    found = stalls.blaming(blocking, ["w1"])
    blocking.close()

    assert [(one["kind"], one["line"]) for one in found] == [("step", 1), ("callback", 2)]
