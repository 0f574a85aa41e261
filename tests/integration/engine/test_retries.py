"""When a job runs: at once, at its time, again after a failure, and not after its deadline.

The workers here poll once in half a minute: whatever starts sooner was waited for, not polled for.
"""

import asyncio
import time

from offload import GiveUp, JobContext, Retry, job
from offload.domain.clock import now_ms
from offload.domain.functions import EnqueueOptions
from offload.domain.policy import Backoff
from offload.domain.states import Status
from support.clockwork import Clockwork

NO_POLL = {"poll_delay": 30}


@job(name="t.ok")
async def ok(ctx: JobContext) -> int:
    return ctx.attempt


@job(name="t.backs_off", max_tries=3, backoff=Backoff(base=3600, factor=2, limit=5400))
async def backs_off(ctx: JobContext) -> None:
    raise ConnectionError("no answer")


@job(name="t.soon", max_tries=4, backoff=Backoff(base=0.02, limit=0.05))
async def soon(ctx: JobContext) -> int:
    if ctx.attempt < 4:
        raise ConnectionError("no answer")
    return ctx.attempt


@job(name="t.picky", max_tries=3, retry_on=(ConnectionError,), give_up_on=(BrokenPipeError,))
async def picky(ctx: JobContext, kind: str) -> None:
    raise {"value": ValueError, "pipe": BrokenPipeError, "give_up": GiveUp, "retry": Retry}[kind]("no")


@job(name="t.far", max_tries=3)
async def far(ctx: JobContext) -> None:
    raise Retry("later", after=3 * 86_400)


@job(name="t.hangs")
async def hangs(ctx: JobContext) -> None:
    await asyncio.sleep(60)


async def test_an_idle_worker_is_woken_by_a_new_job(bench):
    """It does not wait for its next poll."""
    async with bench(ok) as b, b.worker(**NO_POLL):
        records = [await b.run("t.ok") for _ in range(5)]

    assert [r.status for r in records] == [Status.SUCCEEDED] * 5


async def test_a_deferred_job_starts_at_its_time(bench):
    """Not before, and not as late as a poll would be."""
    async with bench(ok) as b, b.worker(**NO_POLL):
        record = await b.run("t.ok", EnqueueOptions(delay=0.3))

    assert record.started_ms >= record.due_ms
    assert record.due_ms >= record.enqueued_ms + 290


async def test_an_earlier_job_is_not_kept_waiting_by_a_later_one(bench):
    """A worker that waits for a due time learns of one that comes before it."""
    async with bench(ok) as b, b.worker(**NO_POLL):
        late = await b.enqueue("t.ok", EnqueueOptions(delay=3600))
        early = await b.run("t.ok", EnqueueOptions(delay=0.2))
        waiting = await b.inspector.get(late)

    assert (early.status, waiting.status) == (Status.SUCCEEDED, Status.DEFERRED)


async def test_a_retry_waits_for_its_backoff(bench):
    """Within the bounds of full jitter, with the job reading retrying and its error kept."""
    async with bench(backs_off) as b, b.worker():
        job_id = await b.enqueue("t.backs_off")
        record = await b.entered(job_id, "retrying")

    assert record.status is Status.RETRYING
    assert 0 <= record.due_ms - record.attempts[0].ended_ms <= 3600_000 + 100
    assert (record.attempts[0].attempt, record.attempts[0].error.type) == (1, "ConnectionError")


async def test_a_short_backoff_is_not_made_longer_by_a_poll(bench):
    """Three retries of some 20 ms each start at their time."""
    async with bench(soon) as b, b.worker(**NO_POLL):
        record = await b.run("t.soon")

    assert (record.status, record.result) == (Status.SUCCEEDED, b"4")


async def test_a_backoff_of_days_expires_nothing(bench, redis):
    """The payload and the count of attempts live as long as the job does; arq's expire after one day."""
    async with bench(far) as b, b.worker():
        job_id = await b.enqueue("t.far")
        await b.entered(job_id, "retrying")
        lives = await redis.ttl(f"arq:job:{job_id}"), await redis.ttl(f"arq:retry:{job_id}")

    assert lives == (-1, -1)


async def test_a_retrying_job_can_be_run_now(bench):
    """A person need not wait for the backoff."""
    async with bench(backs_off) as b, b.worker(**NO_POLL):
        job_id = await b.enqueue("t.backs_off")
        for _ in range(2):
            await b.entered(job_id, "retrying")
            await b.client.retry(job_id)
        record = await b.ended(job_id)

    assert (record.status, record.attempt, len(record.attempts)) == (Status.DEAD, 3, 3)


async def test_what_is_not_retried_is_dead_at_once(bench):
    """By retry_on, by give_up_on, by GiveUp; a Retry by hand is retried whatever they say."""
    async with bench(picky) as b, b.worker():
        value, pipe, give_up = [await b.run("t.picky", kind=kind) for kind in ("value", "pipe", "give_up")]
        again = await b.entered(await b.enqueue("t.picky", kind="retry"), "retrying")

    assert [(r.status, r.attempt) for r in (value, pipe, give_up)] == [(Status.DEAD, 1)] * 3
    assert again.status is Status.RETRYING


async def test_the_call_says_how_often_and_how_long(bench):
    """max_tries and timeout of the call count before the function's."""
    async with bench(soon, hangs) as b, b.worker():
        once = await b.run("t.soon", EnqueueOptions(max_tries=1))
        short = await b.run("t.hangs", EnqueueOptions(timeout=0.05, max_tries=1))

    assert (once.status, once.attempt) == (Status.DEAD, 1)
    assert (short.error.type, short.timeout) == ("AttemptTimeout", 0.05)


async def test_a_job_whose_deadline_has_passed_is_dead_without_running(bench):
    """With that reason."""
    async with bench(ok) as b:
        job_id = await b.enqueue("t.ok", EnqueueOptions(deadline_ms=now_ms() - 1))
        async with b.worker():
            record = await b.ended(job_id)

    assert (record.status, record.error.type) == (Status.DEAD, "DeadlineExceeded")


async def test_a_deadline_stops_a_running_job(bench):
    """It is dead at once: no retry could begin before the deadline."""
    async with bench(hangs) as b, b.worker():
        record = await b.run("t.hangs", EnqueueOptions(deadline_ms=now_ms() + 300))

    assert (record.status, record.attempt, record.error.type) == (Status.DEAD, 1, "AttemptTimeout")


async def test_a_worker_whose_clock_is_off_still_starts_jobs_at_their_time(bench, redis, monkeypatch):
    """Due times are by Redis' clock: a worker that runs ahead neither starts early nor spins until it is time."""
    async with bench(ok) as b:
        job_id = await b.enqueue("t.ok", EnqueueOptions(delay=0.5))
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + 5 * 10**9)
        async with b.worker(**NO_POLL):
            await redis.config_resetstat()
            record = await b.ended(job_id)
        calls = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]

    assert record.status is Status.SUCCEEDED
    assert calls < 30


async def test_a_job_whose_last_attempt_was_lost_is_dead_with_that_attempt(bench, redis):
    """A machine died with it: whoever takes its lease over ends it, and counts no attempt that was not made."""
    async with bench(ok) as b:
        job_id = await b.enqueue("t.ok", EnqueueOptions(max_tries=2))
        store = Clockwork(redis, now=now_ms())
        await store.claim_one("gone")
        await store.lapse(job_id)
        await store.claim_one("gone too")
        await store.lapse(job_id)
        await redis.zadd("arq:queue", {job_id: now_ms()})
        async with b.worker(**NO_POLL):
            record = await b.ended(job_id)

    assert (record.status, record.attempt, record.error.type) == (Status.DEAD, 2, "WorkerLost")
    assert [(lost.attempt, lost.worker, lost.error.type) for lost in record.attempts] == [
        (1, "gone", "WorkerLost"),
        (2, "gone too", "WorkerLost"),
    ]
