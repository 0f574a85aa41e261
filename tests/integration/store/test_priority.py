"""Priorities: the place of a due job in its queue, which every script that moves a job keeps."""

import pytest

from offload.domain.queues import BAND_MS, due_of, priority_of
from offload.store import keys
from offload.store.fleet import queues
from support.clockwork import LEASE, SECOND, START


async def test_due_jobs_of_a_higher_priority_are_claimed_first(store):
    """Within one priority the one that is due first comes first."""
    await store.enqueue("plain")
    await store.enqueue("high", priority=9)
    store.now += 1
    await store.enqueue("late", priority=9)
    await store.enqueue("low", priority=1)

    assert (await store.claim()).ids == ["high", "late", "low", "plain"]


async def test_a_job_for_later_has_its_place_by_its_time(store):
    """Stock workers and arq's Job read its score as that time; when it comes it is not put before others."""
    await store.enqueue("deferred", due=START + SECOND, priority=9)
    store.now += 2 * SECOND
    await store.enqueue("plain", due=START)

    assert await store.score("deferred") == START + SECOND
    assert (await store.claim()).ids == ["plain", "deferred"]


async def test_a_score_tells_due_time_and_priority(store):
    """Nothing is lost in it."""
    await store.enqueue("a", priority=7)
    score = await store.score("a")

    assert score == START - 7 * BAND_MS
    assert (due_of(score), priority_of(score)) == (START, 7)
    assert (due_of(START), priority_of(START)) == (START, 0)


async def test_a_claim_tells_when_a_job_was_due(store):
    """Whatever its priority, and though its record is gone."""
    await store.enqueue("a", "b", priority=3)
    await store.redis.delete(keys.RECORD + "b")
    jobs = (await store.claim()).jobs

    assert [job.due for job in jobs] == [START, START]


async def test_a_job_that_is_put_back_keeps_its_place(store):
    """A stopping worker gives it back before all of lower priority, and among its own where it was."""
    await store.enqueue("first", "second", priority=5)
    jobs = (await store.claim(slots=2)).jobs
    await store.enqueue("plain", due=START - SECOND)
    await store.finish("requeued", *reversed(jobs))

    assert (await store.claim()).ids == ["first", "second", "plain"]


async def test_a_job_of_a_dead_worker_takes_its_old_place(store):
    """As above, when its worker died."""
    await store.enqueue("high", priority=5)
    await store.claim()
    await store.enqueue("plain", due=START - SECOND)
    await store.release()

    assert (await store.claim()).ids == ["high", "plain"]


async def test_a_retry_waits_for_its_time(store):
    """Its place is by its due time, as that of any deferred job."""
    await store.enqueue("a", priority=9)
    await store.finish("retry", await store.claim_one(), due=START + SECOND)

    assert await store.score("a") == START + SECOND


async def test_a_replayed_job_has_its_priority_again(store):
    """It is due now."""
    await store.enqueue("a", priority=9)
    await store.finish("dead", await store.claim_one())
    await store.enqueue("plain")
    await store.replay("a")

    assert (await store.claim()).ids == ["a", "plain"]


async def test_a_renewed_or_lost_lease_is_a_time(store):
    """While it runs the score is the end of its lease, as for any job."""
    await store.enqueue("a", priority=9)
    await store.claim()
    store.now += SECOND
    await store.renew()

    assert await store.score("a") == START + SECOND + LEASE


async def test_an_abort_finds_a_job_of_any_priority(store):
    """Its score is no sign that it ended."""
    await store.enqueue("a", priority=9)
    await store.abort("a")

    assert (await store.status("a"), await store.score("a")) == ("aborted", None)


async def test_the_next_due_time_is_a_time(store):
    """A claim that finds a due job of a priority held elsewhere answers with when the next one falls due."""
    await store.enqueue("held", priority=9)
    await store.held_by_stock("held")
    await store.enqueue("later", due=START + SECOND, priority=9)
    got = await store.claim()

    assert (got.ids, got.next_due) == ([], START + SECOND)


@pytest.mark.parametrize(("oldest", "priority"), [(START - SECOND, 0), (START - SECOND, 9), (START - SECOND, 4)])
async def test_a_queue_tells_since_when_the_oldest_waits(store, oldest, priority):
    """Of all priorities, not of the first to be claimed."""
    await store.enqueue("young", priority=9)
    await store.enqueue("younger")
    await store.enqueue("old", due=oldest, priority=priority)
    [state] = await queues.states(store.redis, ["default"], store.now)

    assert (state.queued, state.deferred, state.oldest_ms) == (3, 0, oldest)
