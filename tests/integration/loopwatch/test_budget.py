"""The loop budget of a job function: what is said of a step over it, and how an attempt ends that may not be."""

import asyncio
import inspect
import time

import pytest
import structlog

from offload import GiveUp, JobContext, LoopBudgetExceeded, job
from offload.domain.functions import EnqueueOptions, plain_function
from offload.domain.policy import Backoff
from offload.domain.states import Status
from offload.store.fleet import stats

QUICK = Backoff(base=0.01, limit=0.02)
seen: list[str] = []


@job(name="b.warns", loop_budget_ms=20)
async def warns(ctx: JobContext, ms: int) -> str:
    await asyncio.sleep(0)
    time.sleep(ms / 1000)  # noqa: ASYNC251 - the line that is to be named
    await asyncio.sleep(0)
    return "went on"


@job(name="b.fails", loop_budget_ms=20, over_budget="fail", max_tries=2, backoff=QUICK)
async def fails(ctx: JobContext, ms: int, seconds: float = 0) -> str:
    await asyncio.sleep(0)
    time.sleep(ms / 1000)  # noqa: ASYNC251 - the line that is to be named
    seen.append("went on")
    try:
        await asyncio.sleep(seconds)
        seen.append("slept")
    finally:
        seen.append("cleaned up")
    return "returned"


@job(name="b.swallows", loop_budget_ms=20, over_budget="fail", max_tries=1)
async def swallows(ctx: JobContext) -> str:
    try:
        time.sleep(0.03)  # noqa: ASYNC251 - on purpose
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
    return "as if nothing had been"


@job(name="b.ends", loop_budget_ms=20, over_budget="fail", give_up_on=[LoopBudgetExceeded])
async def ends(ctx: JobContext) -> str:
    time.sleep(0.03)  # noqa: ASYNC251 - on purpose
    return "in the same step"


@job(name="b.child", loop_budget_ms=20, over_budget="fail", max_tries=1)
async def child(ctx: JobContext) -> None:
    async def inner() -> None:
        await asyncio.sleep(0)
        time.sleep(0.03)  # noqa: ASYNC251 - on purpose
        await asyncio.sleep(30)

    async with asyncio.TaskGroup() as group:
        group.create_task(inner())
        group.create_task(asyncio.sleep(30))


@job(name="b.gives_up", loop_budget_ms=20, over_budget="fail")
async def gives_up(ctx: JobContext) -> None:
    time.sleep(0.03)  # noqa: ASYNC251 - on purpose
    raise GiveUp("of its own")


@job(name="b.none")
async def without(ctx: JobContext) -> None:
    time.sleep(0.03)  # noqa: ASYNC251 - on purpose


async def stock(ctx: dict[str, object]) -> str:
    time.sleep(0.03)  # noqa: ASYNC251 - on purpose
    return "plain"


@pytest.fixture(autouse=True)
def may_block(blocking):
    """These jobs block on purpose."""
    blocking.deactivate()
    seen.clear()


def line_of(function, text):
    """The number of the line of a function that has the text."""
    lines, first = inspect.getsourcelines(function.fn)
    return first + next(n for n, line in enumerate(lines) if text in line)


async def test_a_step_over_budget_is_said_counted_and_marked(bench, redis):
    """In the log with the job, in `/metrics` by function, on the job; the job goes on."""
    with structlog.testing.capture_logs() as log:
        async with bench(warns) as b, b.worker():
            over = await b.run("b.warns", ms=30)
            within = await b.run("b.warns", ms=1)
            _, _, counted = await stats.totals(redis)
            recent = await b.inspector.recent()
    said = [line for line in log if line["event"] == "loop_over_budget" and line["job_id"] == over.id]

    assert (over.status, over.result, over.over_budget) == (Status.SUCCEEDED, b'"went on"', 1)
    assert within.status is Status.SUCCEEDED
    assert counted["b.warns"] >= 1
    assert recent["b.warns"].endings == {"succeeded": 2}
    assert (said[0]["function"], said[0]["budget_ms"], said[0]["log_level"]) == ("b.warns", 20, "warning")
    assert 30 <= said[0]["held_ms"] < 5000
    assert said[0]["at_line"].startswith(f"{__file__}:")


async def test_a_step_that_was_sampled_is_said_with_its_line(bench):
    """From the time on at which stalls are reported; below it, with the line where the function begins."""
    with structlog.testing.capture_logs() as log:
        async with bench(warns) as b, b.worker():
            long = await b.run("b.warns", ms=250)
    said = [line["at_line"] for line in log if line["event"] == "loop_over_budget" and line["job_id"] == long.id]

    assert said[0] == f"{__file__}:{line_of(warns, 'time.sleep')}"


async def test_over_budget_can_be_the_end_of_an_attempt(bench):
    """At its next await, as a cancellation, so it can clean up; tried again by its policy, each with the reason."""
    async with bench(fails) as b, b.worker():
        record = await b.run("b.fails", ms=250, seconds=30)

    assert (record.status, record.attempt) == (Status.DEAD, 2)
    assert {one.error.type for one in record.attempts} == {"LoopBudgetExceeded"}
    assert record.error.message.startswith("one step held the event loop 2")
    assert record.error.message.endswith(
        f" ms, its budget is 20 ms (loopwatch/test_budget.py:{line_of(fails, 'time.sleep')})"
    )
    assert seen == ["went on", "cleaned up"] * 2


async def test_within_its_budget_it_succeeds(bench):
    """Many steps that are short together take as long as they like."""
    async with bench(fails) as b, b.worker():
        record = await b.run("b.fails", ms=0, seconds=0.05)

    assert (record.status, record.over_budget) == (Status.SUCCEEDED, 0)


@pytest.mark.parametrize("function", [swallows, ends, child], ids=lambda one: one.name)
async def test_whatever_it_does_the_attempt_ends_with_the_reason(bench, function):
    """It goes on as if it had not been cancelled, ends in that very step, or has a task of its own do it."""
    async with bench(function, without) as b, b.worker():
        record = await b.run(function.name)
        after = await b.run("b.none")

    assert (record.status, record.attempt, record.error.type) == (Status.DEAD, 1, "LoopBudgetExceeded")
    assert after.status is Status.SUCCEEDED


async def test_an_error_of_its_own_in_the_same_step_counts(bench):
    """The budget is not what it failed of; it is counted and said all the same."""
    async with bench(gives_up) as b, b.worker():
        record = await b.run("b.gives_up")

    assert (record.status, record.attempt, record.error.message) == (Status.DEAD, 1, "of its own")
    assert record.over_budget == 1


async def test_an_abort_that_came_first_is_an_abort(bench):
    """What a person asked for counts, not the step that was too long while it stopped."""
    gate = asyncio.Event()

    @job(name="b.stops", loop_budget_ms=20, over_budget="fail")
    async def stops(ctx: JobContext) -> None:
        gate.set()
        try:
            await asyncio.sleep(30)
        finally:
            time.sleep(0.03)  # noqa: ASYNC251 - on purpose

    async with bench(stops) as b, b.worker():
        job_id = await b.enqueue("b.stops")
        await gate.wait()
        await b.client.abort(job_id)
        record = await b.ended(job_id)

    assert record.status is Status.ABORTED


async def test_a_setting_gives_all_async_jobs_a_budget(bench):
    """Plain arq functions too; it only warns, and a function's own counts before it."""
    with structlog.testing.capture_logs() as log:
        async with bench(without, warns, plain_function("b.stock", stock)) as b, b.worker(loop_budget_ms=25):
            ours, theirs = await b.run("b.none"), await b.run("b.stock")
            own = await b.run("b.warns", EnqueueOptions(), ms=30)
        async with bench(without) as b, b.worker():
            none = await b.run("b.none")
    said = {line["job_id"]: line["budget_ms"] for line in log if line["event"] == "loop_over_budget"}

    assert (ours.status, theirs.status, none.over_budget) == (Status.SUCCEEDED, Status.SUCCEEDED, 0)
    assert said == {ours.id: 25, theirs.id: 25, own.id: 20}


async def test_many_steps_over_budget_are_not_said_one_by_one(bench):
    """The first is, and each that is twice as long as the last that was; all are counted."""

    @job(name="b.many", loop_budget_ms=5)
    async def many(ctx: JobContext) -> None:
        for ms in (10, 10, 10, 10, 40):
            await asyncio.sleep(0)
            time.sleep(ms / 1000)  # noqa: ASYNC251 - on purpose

    with structlog.testing.capture_logs() as log:
        async with bench(many) as b, b.worker():
            record = await b.run("b.many")
    said = [line for line in log if line["event"] == "loop_over_budget"]

    assert record.over_budget == 5
    assert 1 <= len(said) <= 3
