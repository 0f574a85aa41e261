"""The feed: one blocking read a process, fanned out to readers with bounded queues."""

import asyncio
import contextlib

import pytest
from support.clockwork import Clockwork
from support.server import restartable

from service.domain.errors import InvalidOptions, Unavailable
from service.domain.events import Event
from service.store.connection import client, settings_of
from service.store.feed import Feed, Reader, place


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
    async with contextlib.AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(feed.listen()) for _ in range(100)]
        await store.enqueue("a")
        for reader in readers:
            assert await heard(reader, 1) == [("queued", "a")]
        reading = [one for one in await redis.client_list() if one["cmd"] == "xread"]

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


def test_a_slow_reader_loses_the_oldest_and_knows_how_many():
    """Its queue is bounded; who reads fast is not disturbed."""
    reader = Reader()
    for n in range(1003):
        reader.offer(Event(f"1-{n}", "queued", f"j{n}", n))

    assert reader.missed == 3
    assert reader._events.get_nowait().job_id == "j3"


async def test_a_reader_resumes_after_the_last_event_it_saw(store, feed):
    """By an event's id, also in the midst of one entry of the stream; of one job or of all."""
    async with feed.listen() as reader:
        await store.enqueue("a", "b", "c")
        first = await reader.next(10)
    await store.claim()
    missed = await feed.since(first.id)
    of_b = await feed.since(first.id, "b")

    assert [(one.name, one.job_id) for one in missed] == [
        ("queued", "b"), ("queued", "c"), ("running", "a"), ("running", "b"), ("running", "c"),
    ]  # fmt: skip
    assert [one.name for one in of_b] == ["queued", "running"]
    assert await feed.since(missed[-1].id) == []


@pytest.mark.parametrize("event_id", ["", "x", "1-x", "1-2.x", "1-2.3.4"])
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
