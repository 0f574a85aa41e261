"""idempotency.lua and the marks of enqueue.lua: a request that is sent again puts nothing in again."""

import asyncio

import pytest

from offload.domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from offload.domain.idempotency import Mark, hashed
from offload.store import keys
from offload.store.jobs import idempotency
from offload.store.jobs.codec import Codec
from offload.store.jobs.enqueue import JobStore, NewJob

PRINT, OTHER = "f" * 64, "e" * 64
KEY = keys.IDEMPOTENCY + hashed("me", "k")


async def begin(redis, fingerprint=PRINT, who="me", stands_ms=10_000):
    return await idempotency.begin(redis, who, "k", fingerprint, stands_ms)


def new_job(one="a", mark=None, **fields):
    return NewJob(one, "default", 0, b"payload", {"function": "t.f", **fields}, mark)


@pytest.fixture
def jobs(redis):
    return JobStore(redis, Codec())


async def test_the_first_request_gets_a_mark_that_lapses(redis):
    """A process that dies with it does not block the key for long."""
    mark = await begin(redis)

    assert isinstance(mark, Mark)
    assert 9_000 < await redis.pttl(KEY) <= 10_000


async def test_a_second_one_finds_it_in_use(redis):
    """Until the first is done."""
    await begin(redis)

    with pytest.raises(IdempotencyKeyInUse):
        await begin(redis)


async def test_a_key_is_its_callers_own(redis):
    """Two callers may use the same one."""
    first, second = await begin(redis), await begin(redis, who="you")

    assert isinstance(second, Mark)
    assert first != second


@pytest.mark.parametrize("is_done", [False, True])
async def test_another_request_with_the_same_key_is_refused(redis, jobs, is_done):
    """Whether or not the first one is done."""
    mark = await begin(redis)
    if is_done:
        await jobs.enqueue(new_job(mark=mark))

    with pytest.raises(IdempotencyKeyReused):
        await begin(redis, OTHER)


async def test_a_job_is_remembered_for_a_day_in_the_step_that_stores_it(redis, jobs):
    """The same request is answered with its id from then on."""
    mark = await begin(redis)
    _, stored = await jobs.enqueue(new_job(mark=mark))

    assert stored is True
    assert await begin(redis) == ("a",)
    assert 86_390 < await redis.ttl(KEY) <= 86_400


async def test_a_batch_is_remembered_in_its_order(redis, jobs):
    """With the id of the job that stands, where a unique key has one already."""
    await jobs.enqueue(new_job("there", unique="aa"))
    mark = await begin(redis)
    _, stored = await jobs.enqueue_many([new_job("a"), new_job("b", unique="aa"), new_job("c")], mark)

    assert stored == [True, "there", True]
    assert await begin(redis) == ("a", "there", "c")


async def test_an_empty_batch_is_remembered_too(redis, jobs):
    """As one that put nothing in."""
    await jobs.enqueue_many([], await begin(redis))

    assert await begin(redis) == ()


@pytest.mark.parametrize("taken", [False, True])
async def test_without_its_mark_a_request_puts_nothing_in(redis, jobs, taken):
    """It lapsed, and maybe another request with the key has begun: that one's jobs are the only ones."""
    mark = await begin(redis)
    await redis.delete(KEY)
    if taken:
        await begin(redis)
    with pytest.raises(IdempotencyKeyInUse):
        await jobs.enqueue(new_job(mark=mark))
    with pytest.raises(IdempotencyKeyInUse):
        await jobs.enqueue_many([new_job("b"), new_job("c")], mark)

    assert await redis.exists(keys.RECORD + "a", keys.RECORD + "b", keys.RECORD + "c") == 0


async def test_callers_who_share_a_round_trip_each_have_their_own_mark(redis, jobs):
    """Of those at the same moment one has none, one stands, one has lapsed."""
    good, lapsed = await begin(redis), await begin(redis, who="you")
    await redis.delete(keys.IDEMPOTENCY + lapsed.key)
    answers = await asyncio.gather(
        jobs.enqueue(new_job("first")),
        jobs.enqueue(new_job("none")),
        jobs.enqueue(new_job("good", good)),
        jobs.enqueue(new_job("lapsed", lapsed)),
        jobs.enqueue(new_job("last")),
        return_exceptions=True,
    )

    assert [isinstance(one, IdempotencyKeyInUse) for one in answers] == [False, False, False, True, False]
    assert await redis.exists(keys.RECORD + "lapsed") == 0
    assert await redis.exists(*(keys.RECORD + one for one in ("first", "none", "good", "last"))) == 4


async def test_a_key_that_is_given_up_is_free(redis):
    """A request that was refused may be corrected and sent again with it."""
    await idempotency.abandon(redis, await begin(redis))

    assert isinstance(await begin(redis, OTHER), Mark)


async def test_only_its_own_mark_is_given_up(redis):
    """Not that of a request which began since."""
    mine = await begin(redis)
    await redis.delete(KEY)
    await begin(redis)
    await idempotency.abandon(redis, mine)

    with pytest.raises(IdempotencyKeyInUse):
        await begin(redis)
