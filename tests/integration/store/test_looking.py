"""Looking at single jobs: who asks at the same moment shares a round trip, and nobody is shown what is old."""

import asyncio

import pytest

from offload.domain.errors import Unavailable
from offload.store.connection import scripts
from offload.store.connection.connection import client, settings_of
from offload.store.jobs.batched_reads import RecordBatcher


async def reads(redis):
    """How often Redis read from its sockets."""
    return (await redis.info("stats"))["total_reads_processed"]


async def test_all_that_is_kept_of_a_job_is_found(store, redis):
    """Record, payload, result, failed attempts and log lines, as they are stored."""
    await store.enqueue("a")
    await redis.set("arq:result:a", b"result", ex=60)
    await redis.rpush("offload:attempts:a", b"one", b"two")
    await redis.rpush("offload:log:a", b"line")
    await redis.expire("offload:attempts:a", 60)
    await redis.expire("offload:log:a", 60)
    record, payload, result, attempts, log = await RecordBatcher(redis).at("a")

    assert (record[b"function"], record[b"status"]) == (b"t.f", b"queued")
    assert (payload, result, attempts, log) == (b"payload of a", b"result", [b"one", b"two"], [b"line"])


async def test_of_an_unknown_job_nothing_is_found(redis):
    """It is no error here."""
    assert await RecordBatcher(redis).at("nobody") == [{}, None, None, [], []]


async def test_callers_at_the_same_moment_share_round_trips(store, redis):
    """A hundred callers, for the same and for different jobs, need a few, and each is given its own job."""
    ids = [f"j{i}" for i in range(50)]
    await store.enqueue(*ids)
    looks = RecordBatcher(redis)
    await looks.at("j0")
    before = await reads(redis)
    rows = await asyncio.gather(*(looks.at(one) for one in [*ids, *ids]))
    took = await reads(redis) - before

    assert [row[1] for row in rows] == [f"payload of {one}".encode() for one in [*ids, *ids]]
    assert took <= 4


async def test_a_caller_sees_what_was_written_before_it_asked(store, redis, monkeypatch):
    """It joins the next look, not the one that is under way."""
    gate, under_way, run = asyncio.Event(), asyncio.Event(), scripts.run

    async def slow(*arguments):
        answer = await run(*arguments)
        under_way.set()
        await gate.wait()
        return answer

    monkeypatch.setattr(scripts, "run", slow)
    looks = RecordBatcher(redis)
    early = asyncio.create_task(looks.at("a"))
    await under_way.wait()
    monkeypatch.undo()
    await store.enqueue("a")
    late = asyncio.create_task(looks.at("a"))
    await asyncio.sleep(0)
    gate.set()

    assert (await early)[0] == {}
    assert (await late)[0][b"status"] == b"queued"


async def test_a_caller_that_leaves_takes_nobody_with_it(store, redis):
    """Cancelling one of two that ask for the same job leaves the other its answer."""
    await store.enqueue("a")
    looks = RecordBatcher(redis)
    one, other = asyncio.create_task(looks.at("a")), asyncio.create_task(looks.at("a"))
    await asyncio.sleep(0)
    one.cancel()

    assert (await other)[1] == b"payload of a"
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_everyone_is_told_when_redis_is_away(tmp_path):
    """And the next one is told anew."""
    redis = client(settings_of(f"unix://{tmp_path}/nothing"))
    looks = RecordBatcher(redis)
    said = await asyncio.gather(looks.at("a"), looks.at("b"), return_exceptions=True)
    with pytest.raises(Unavailable):
        await looks.at("a")
    await redis.aclose()

    assert [type(one) for one in said] == [Unavailable, Unavailable]
