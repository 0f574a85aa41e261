"""The feed: one blocking read a process, fanned out to readers with bounded queues."""

import asyncio
import contextlib
import itertools

import pytest

from offload.domain.errors import InvalidOptions, Unavailable
from offload.domain.events import Event, EventFilter
from offload.store.connection.connection import client, settings_of
from offload.store.feed.fanout import AT_ONCE, BATCH, KEPT, STEP, Channel, Reader, Rounds
from offload.store.feed.stream import Feed, place
from support.clockwork import Clockwork
from support.server import restartable


@contextlib.asynccontextmanager
async def feed_on(url):
    blocking = client(settings_of(url), answer_timeout=10)
    feed = Feed(blocking)
    try:
        yield feed
    finally:
        await feed.close()
        await blocking.aclose()


@pytest.fixture
async def feed(redis, redis_server):
    async with feed_on(redis_server.url) as made:
        yield made


async def replayed(feed, event_id, wanted=None, until=""):
    """Return what the feed holds after an event."""
    async with contextlib.aclosing(feed.since(event_id, wanted, until)) as pieces:
        return [event async for piece in pieces for event in piece]


async def heard(reader, count):
    """Return the next events as (name, job)."""
    found = [await reader.next(10) for _ in range(count)]
    return [(event.name, event.job_id) if event else None for event in found]


async def test_every_reader_hears_everything_and_a_jobs_reader_only_its_job(store, feed):
    """One stream is fanned out by what each reader listens to."""
    async with feed.listen() as all1, feed.listen() as all2, feed.listen("b") as only_b:
        await store.enqueue("a", "b")
        await store.claim()
        both = [("queued", "a"), ("queued", "b"), ("running", "a"), ("running", "b")]

        assert await heard(all1, 4) == both
        assert await heard(all2, 4) == both
        assert await heard(only_b, 2) == [("queued", "b"), ("running", "b")]


async def test_only_one_connection_reads_for_all_readers(store, feed, redis):
    """A hundred listeners cost Redis one blocking read."""
    before = {one["id"] for one in await redis.client_list()}  # those of other tests may be on their way out
    async with contextlib.AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(feed.listen()) for _ in range(100)]
        await store.enqueue("a")
        for reader in readers:
            assert await heard(reader, 1) == [("queued", "a")]
        reading = [one for one in await redis.client_list() if one["cmd"] == "xread" and one["id"] not in before]

    assert len(reading) <= 1


async def test_a_reader_hears_what_comes_after_it_began(store, feed):
    """What was in the feed before is not told."""
    await store.enqueue("before")
    async with feed.listen() as reader:
        await store.enqueue("after")

        assert await heard(reader, 1) == [("queued", "after")]


async def test_events_carry_what_happened(store, feed):
    """Queue, function, attempt and worker, and the time by Redis' clock."""
    async with feed.listen("a") as reader:
        await store.enqueue("a", queue="mail")
        await store.claim("w1", queues=["mail"])
        await reader.next(10)
        running = await reader.next(10)

    assert running.at_ms == store.now
    assert running.data == {"queue": "mail", "function": "t.f", "attempt": 1, "worker": "w1"}


async def test_a_quiet_feed_lets_a_reader_go_on(feed):
    """After its timeout a reader is given nothing."""
    async with feed.listen() as reader:
        assert await reader.next(0.01) is None


def crowd(readers):
    """A channel and some readers of it."""
    channel = Channel(EventFilter(), Rounds())
    found = [Reader(channel) for _ in range(readers)]
    channel.readers.update(found)
    return channel, found


def happens(channel, count, first=0):
    """Let events happen, and tell the channel's readers."""
    for n in range(first, first + count):
        channel.offer(Event(f"1-{n}", "queued", f"j{n}", n))
    channel.wake()


async def test_a_slow_reader_loses_the_oldest_and_is_told_how_many():
    """What is kept for it is bounded, whether it reads one by one or all at once; who reads fast loses nothing."""
    channel, (one_by_one, at_once, fast) = crowd(3)
    happens(channel, 3)
    quick = await fast.batch(1)
    happens(channel, KEPT, first=3)
    while len(quick) < KEPT + 3:
        quick += await fast.batch(1)
    slow = await at_once.batch(1)
    told, first = await one_by_one.next(1), await one_by_one.next(1)

    assert [event.job_id for event in quick] == [f"j{n}" for n in range(KEPT + 3)]
    assert (slow[0].name, slow[0].data, slow[1].job_id, len(slow)) == ("missed", {"count": 3}, "j3", BATCH + 1)
    assert (told.name, told.data, first.job_id) == ("missed", {"count": 3}, "j3")


async def test_a_reader_in_a_crowd_takes_all_of_its_turn():
    """However much happened meanwhile, it needs one turn for it, though it takes it in parts."""
    channel, readers = crowd(AT_ONCE * 2)
    reading = [asyncio.create_task(reader.batch(5)) for reader in readers]
    await asyncio.sleep(0)
    happens(channel, 300)
    heard = await reading[0]
    async with asyncio.timeout(1):
        while len(heard) < 300:
            heard += await readers[0].batch()
    await asyncio.gather(*reading)

    assert [event.job_id for event in heard] == [f"j{n}" for n in range(300)]


async def test_readers_who_want_the_same_share_what_is_kept():
    """A thousand readers cost no more memory than one: events are kept once for all of them."""
    channel, readers = crowd(1000)
    happens(channel, 10)
    batches = [await reader.batch(5) for reader in readers]

    assert {id(event) for batch in batches for event in batch} == {id(event) for event in channel._kept}


async def test_a_crowd_is_woken_a_few_at_a_time():
    """While a thousand readers are told, other work of the loop gets its turn after every few of them."""
    channel, readers = crowd(1000)
    woken = 0

    async def read(reader):
        nonlocal woken
        await reader.batch(5)
        woken += 1

    async with asyncio.TaskGroup() as group:
        for reader in readers:
            group.create_task(read(reader))
        await asyncio.sleep(0)
        happens(channel, 1)
        steps = [0]
        while woken < 1000:
            await asyncio.sleep(0)
            steps.append(woken)
    most = max(after - before for before, after in itertools.pairwise(steps))

    assert most <= 2 * STEP


async def test_a_crowd_rests_between_rounds_and_is_told_all_in_the_next():
    """What happens while readers are being told reaches each of them in one piece, and none is forgotten."""
    channel, readers = crowd(AT_ONCE * 4)
    heard = {reader: [] for reader in readers}

    async def read(reader):
        while len(heard[reader]) < 50:
            heard[reader] += [event.job_id for event in await reader.batch(5)]

    async with asyncio.TaskGroup() as group:
        for reader in readers:
            group.create_task(read(reader))
        for n in range(50):
            await asyncio.sleep(0)
            happens(channel, 1, first=n)

    assert all(found == [f"j{n}" for n in range(50)] for found in heard.values())


async def test_a_reader_resumes_after_the_last_event_it_saw(store, feed):
    """By an event's id, also in the midst of one entry of the stream; of one job or of all."""
    async with feed.listen() as reader:
        await store.enqueue("a", "b", "c")
        first = await reader.next(10)
    await store.claim()
    missed = await replayed(feed, first.id)
    of_b = await replayed(feed, first.id, EventFilter("b"))

    assert [(one.name, one.job_id) for one in missed] == [
        ("queued", "b"), ("queued", "c"), ("running", "a"), ("running", "b"), ("running", "c"),
    ]  # fmt: skip
    assert [one.name for one in of_b] == ["queued", "running"]
    assert await replayed(feed, missed[-1].id) == []
    assert await replayed(feed, first.id, until=missed[1].id) == missed[:2]


async def test_a_long_absence_is_replayed_in_pieces(store, feed):
    """Nobody's return makes this process hold the whole feed."""
    async with feed.listen() as reader:
        await store.enqueue("first")
        first = await reader.next(10)
    for n in range(50):
        await store.enqueue(f"j{n}")
    async with contextlib.aclosing(feed.since(first.id)) as pieces:
        sizes = [len(piece) async for piece in pieces]

    assert sum(sizes) == 50
    assert max(sizes) <= 20


async def test_who_was_away_too_long_is_told_that_something_is_missed(store, feed, redis):
    """When the feed no longer reaches back to the last event seen, nobody knows how many are lost."""
    async with feed.listen() as reader:
        await store.enqueue("a", "b")
        first = await reader.next(10)
    await redis.xtrim("offload:events", maxlen=0)
    await store.enqueue("c")
    lost, kept = await replayed(feed, first.id)

    assert (lost.name, lost.data) == ("missed", {"count": None})
    assert kept.job_id == "c"


async def test_a_reader_hears_only_what_it_wants(store, feed):
    """By function, queue and name of the event; readers that want the same share a channel."""
    wanted = [
        EventFilter(queues=frozenset({"mail"})),
        EventFilter(functions=frozenset({"t.g"})),
        EventFilter(names=frozenset({"running"})),
    ]
    async with (
        feed.listen(wanted=wanted[0]) as mail,
        feed.listen(wanted=wanted[1]) as g,
        feed.listen(wanted=wanted[2]) as ran,
    ):
        await store.enqueue("a", queue="mail")
        await store.enqueue("b", function="t.g")
        await store.claim("w1", queues=["mail"])

        assert await heard(mail, 2) == [("queued", "a"), ("running", "a")]
        assert await heard(g, 1) == [("queued", "b")]
        assert await heard(ran, 1) == [("running", "a")]


async def test_nothing_is_kept_of_readers_that_are_gone(feed):
    """A channel goes with its last reader."""
    async with feed.listen("a"), feed.listen("a"), feed.listen():
        pass

    assert not feed._channels
    assert not feed._by_job
    assert not feed._of_all


@pytest.mark.parametrize(
    "event_id", ["", "x", "1-x", "1-2.x", "1-2.3.4", "1", "1_0-0", "+1-0", "²-0", " 1-0", f"{2**64}-0", f"1-{2**64}"]
)
async def test_what_is_no_event_id_is_refused(event_id):
    """Last-Event-ID comes from outside."""
    with pytest.raises(InvalidOptions, match="event id"):
        place(event_id)


def test_event_ids_sort_as_the_feed_does():
    """By time, by entry, by place in the entry: as numbers."""
    ids = ["9-0.0", "10-0.2", "10-0.10", "10-1.0", "10-10.0"]

    assert sorted(ids, key=place) == ids


async def test_a_feed_is_bounded(store, redis):
    """The stream holds about 2,000 entries."""
    for _ in range(2500):
        await redis.xadd("offload:events", {"e": "[]"})
    await store.enqueue("last")

    assert await redis.xlen("offload:events") < 2500


async def test_a_feed_goes_on_when_redis_has_been_away():
    """Listeners hear what happens after a restart; nobody has to listen anew."""
    with restartable() as server:
        store = Clockwork(client(settings_of(server.url)))
        async with contextlib.aclosing(store.redis), feed_on(server.url) as feed, feed.listen() as reader:
            await store.enqueue("before")
            before = await heard(reader, 1)
            await asyncio.to_thread(server.kill)
            with pytest.raises(Unavailable):
                await store.enqueue("never")
            await asyncio.to_thread(server.start)
            await store.enqueue("after")

            assert before == [("queued", "before")]
            assert await heard(reader, 1) == [("queued", "after")]


async def test_listening_fails_at_once_while_redis_is_away(tmp_path):
    """The error says so; nothing hangs."""
    async with feed_on(f"unix://{tmp_path}/no.sock") as feed:
        with pytest.raises(Unavailable):
            async with feed.listen():
                pass
