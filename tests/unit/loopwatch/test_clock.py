"""The step clock: what is counted, for whom, and that coroutines notice nothing of it."""

import asyncio
import functools
import gc
import sys
import time
import types
import warnings

import pytest
import uvloop

from offload.loopwatch.step_clock import OTHER, Scope, Slot, current, drive, install

MS = 1_000_000
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def burn(milliseconds):
    """Compute for so long."""
    ends = time.monotonic_ns() + milliseconds * MS
    while time.monotonic_ns() < ends:
        pass


def job(name="mail.send"):
    """A job to count for."""
    return Scope("job", "1", name)


@pytest.fixture
def slot():
    """The state of a loop whose limit is 20 ms."""
    return Slot(20 * MS, lambda: None)


async def in_scope(scope, slot, coro):
    """Run a coroutine as a job, with its child tasks."""
    undo = install(asyncio.get_running_loop(), slot)
    current.set(scope)
    try:
        return await drive(coro, scope, slot)
    finally:
        undo()


@pytest.mark.parametrize("new_loop", LOOPS)
def test_each_step_counts_for_the_job(slot, new_loop):
    """Number, sum and longest; a slow one is noted with the job."""
    scope = job()

    async def work():
        burn(5)
        await asyncio.sleep(0)
        burn(25)
        await asyncio.sleep(0)
        return "done"

    with asyncio.Runner(loop_factory=new_loop) as runner:
        result = runner.run(in_scope(scope, slot, work()))

    assert result == "done"
    assert scope.steps == 3
    assert 25 * MS <= scope.max_step_ns <= scope.loop_ns
    assert scope.loop_ns >= 30 * MS
    assert [one.scope for one in slot.slow] == [scope]
    assert (slot.scope, slot.started_ns) == (None, 0)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_child_tasks_count_for_the_job(slot, new_loop):
    """Those of gather and of a TaskGroup, and their children; not tasks of others."""
    scope = job()

    async def child():
        await asyncio.sleep(0)
        burn(10)

    async def work():
        await asyncio.gather(child(), child())
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    async def main():
        other = asyncio.ensure_future(child())
        await in_scope(scope, slot, work())
        await other

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())

    assert scope.steps == 3 + 3 * 2
    assert scope.loop_ns >= 30 * MS


def test_a_task_keeps_its_name_and_the_name_of_its_coroutine(slot):
    """What debuggers and logs show."""

    async def child():
        """Do nothing."""

    async def work():
        named = asyncio.create_task(child(), name="mine")
        await named
        return named.get_name(), named.get_coro().__qualname__

    name, qualname = asyncio.run(in_scope(job(), slot, work()))

    assert name == "mine"
    assert qualname.endswith(".<locals>.child")


def test_a_factory_that_was_there_before_makes_the_tasks(slot):
    """Ours goes in front of it, and leaves it in place."""
    made = []

    def theirs(loop, coro, **more):
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **more)

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(theirs)
        await in_scope(job(), slot, asyncio.sleep(0))
        await asyncio.create_task(asyncio.sleep(0))
        return loop.get_task_factory(), len(made)

    factory, count = asyncio.run(main())

    assert factory is theirs
    assert count == 1


def test_a_factory_that_came_later_is_left_alone(slot):
    """The watch ends before it does."""

    async def main():
        loop = asyncio.get_running_loop()
        undo = install(loop, slot)
        ours = loop.get_task_factory()
        later = functools.partial(ours)
        loop.set_task_factory(later)
        undo()
        return loop.get_task_factory() is later

    assert asyncio.run(main())


def test_cancellation_reaches_the_coroutine(slot):
    """Its step is counted as well."""
    scope = job()
    seen = []

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            burn(5)
            seen.append("cancelled")
            raise

    async def main():
        task = asyncio.create_task(in_scope(scope, slot, work()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert seen == ["cancelled"]
    assert scope.loop_ns >= 5 * MS


def test_a_child_cancelled_before_it_began_is_not_called_forgotten(slot):
    """As without the clock."""

    async def work():
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(in_scope(job(), slot, work()))
        gc.collect()


def test_what_is_no_native_coroutine_has_steps_too(slot):
    """A generator that `types.coroutine` marks, as C extensions and old libraries have them."""
    scope = job()

    @types.coroutine
    def old():
        yield
        burn(5)
        return 7

    result = asyncio.run(in_scope(scope, slot, old()))

    assert result == 7
    assert scope.steps == 2
    assert scope.loop_ns >= 5 * MS


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_the_first_step_of_an_eager_task_is_part_of_the_step_that_starts_it(slot):
    """It is counted once."""
    scope = job()

    async def child():
        burn(10)
        await asyncio.sleep(0)
        burn(10)

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)

        async def work():
            await asyncio.create_task(child())

        await in_scope(scope, slot, work())

    began = time.monotonic_ns()
    asyncio.run(main())

    assert 20 * MS <= scope.loop_ns <= time.monotonic_ns() - began


def test_loop_time_is_kept_by_function(slot):
    """While a job still runs, and after; beyond a number of names the rest has one."""
    seen = {}

    async def work():
        burn(5)
        await asyncio.sleep(0)
        seen.update(slot.spent_ns)

    async def main():
        await in_scope(job("a.long"), slot, work())
        for number in range(300):
            await drive(asyncio.sleep(0), job(f"many.{number}"), slot)

    asyncio.run(main())

    assert seen["a.long"] >= 5 * MS
    assert len(slot.spent_ns) == 201
    assert slot.spent_ns[OTHER] > 0


def test_the_first_step_after_a_quiet_time_wakes_the_watch():
    """Once; the watch says when it is quiet again."""
    rung = []
    slot = Slot(20 * MS, lambda: rung.append(setattr(slot, "is_idle", False)))
    slot.is_idle = True

    async def work():
        await asyncio.sleep(0)

    asyncio.run(in_scope(job(), slot, work()))

    assert len(rung) == 1
