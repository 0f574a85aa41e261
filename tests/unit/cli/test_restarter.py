"""Keeping a child running."""

import asyncio

import pytest

from offload.cli.local import restarter as module
from offload.cli.local.race import first_of
from offload.cli.local.restarter import Restarter
from offload.domain import restarts


class FakeChild:
    """A child that ends when the test says so, and obeys signals if asked to."""

    name = "api"

    def __init__(self, *, obeys=True):
        self.obeys = obeys
        self.started = asyncio.Queue()
        self.signals = []
        self.said = []
        self.reported = asyncio.Event()
        self.refusals = []
        self.listener = self
        self._end = None

    async def run(self):
        self._end = asyncio.get_running_loop().create_future()
        self.started.put_nowait(None)
        return await self._end

    def end(self, code):
        if self._end is not None and not self._end.done():
            self._end.set_result(code)

    def terminate(self):
        self.signals.append("TERM")
        if self.obeys:
            self.end(0)

    def kill(self):
        self.signals.append("KILL")
        self.end(-9)

    def note_line(self, name, line):
        self.said.append(line)
        self.reported.set()

    def note_refusal(self, name):
        self.refusals.append(name)


@pytest.fixture
def _no_pauses(monkeypatch):
    monkeypatch.setattr(restarts, "PAUSES_S", (0.0,))


@pytest.mark.usefixtures("_no_pauses")
async def test_a_child_that_died_is_started_again():
    """A child that ends by itself is restarted, and its end is reported."""
    child = FakeChild()
    restarter = Restarter(child)
    async with asyncio.TaskGroup() as group:
        group.create_task(restarter.run())
        await child.started.get()
        child.end(-9)
        await child.started.get()
        await restarter.stop(1)

    assert child.said == ["api was killed by SIGKILL; restarting in 0 s"]


async def test_a_child_that_refuses_at_the_start_is_left_alone():
    """Exit code 3 before the child ever worked is final: what it said is the reason."""
    child = FakeChild()
    restarter = Restarter(child)
    async with asyncio.TaskGroup() as group:
        group.create_task(restarter.run())
        await child.started.get()
        child.end(3)

    assert restarter.refused.is_set()
    assert child.refusals == ["api"]


@pytest.mark.usefixtures("_no_pauses")
async def test_a_child_that_worked_is_started_again_whatever_it_dies_of():
    """Exit code 3 after the child was ready, as when Redis is away for a while, is not final."""
    child = FakeChild()
    restarter = Restarter(child)
    async with asyncio.TaskGroup() as group:
        group.create_task(restarter.run())
        await child.started.get()
        restarter.note_ready()
        child.end(3)
        await child.started.get()
        await restarter.stop(1)

    assert not restarter.refused.is_set()


async def test_under_reload_a_refusal_waits_for_the_next_change():
    """A module that does not import is tried again when it was changed."""
    child = FakeChild()
    restarter = Restarter(child, waits_for_change=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(restarter.run())
        await child.started.get()
        child.end(3)
        await child.reported.wait()
        restarter.start_over()
        await child.started.get()
        await restarter.stop(1)

    assert child.refusals == ["api"]
    assert child.said == ["api exited with code 3; restarting after the next change"]


async def test_starting_over_stops_first():
    """`start_over` asks the child to stop, and restarts it without a message or a pause."""
    child = FakeChild()
    restarter = Restarter(child)
    async with asyncio.TaskGroup() as group:
        group.create_task(restarter.run())
        await child.started.get()
        restarter.start_over()
        await child.started.get()
        await restarter.stop(1)

    assert child.said == []
    assert child.signals == ["TERM", "TERM"]


async def test_a_child_that_does_not_stop_is_killed():
    """After the grace a child is killed, and `stop` says so."""
    child = FakeChild(obeys=False)
    restarter = Restarter(child)
    async with asyncio.TaskGroup() as group:
        group.create_task(restarter.run())
        await child.started.get()
        in_order = await restarter.stop(0.01)

    assert in_order is False
    assert child.signals == ["TERM", "KILL"]


async def test_a_hurry_cuts_the_grace_short(monkeypatch):
    """After `hurry` it asks once more, which a worker obeys at once, and kills soon after."""
    monkeypatch.setattr(module, "HURRY", 0.01)
    child = FakeChild(obeys=False)
    restarter = Restarter(child)
    async with asyncio.TaskGroup() as group:
        group.create_task(restarter.run())
        await child.started.get()
        restarter.hurry()
        in_order = await restarter.stop(60)

    assert in_order is False
    assert child.signals == ["TERM", "TERM", "KILL"]


async def test_the_first_of_several_is_known_by_its_place():
    """`first_of` names the first to end, cancels the rest, and gives None when the time was up."""
    never = asyncio.Event()

    assert await first_of(never.wait(), asyncio.sleep(0)) == 1
    assert await first_of(never.wait(), timeout=0.001) is None


async def test_what_the_first_raised_is_raised():
    """An exception of the first to end reaches the caller."""

    async def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await first_of(asyncio.Event().wait(), fails())
