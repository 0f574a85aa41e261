"""What the watch tells, on a real loop with a real watchdog beside it: when, of whom, with which line."""

import asyncio
import ctypes
import inspect
import threading
import time

import pytest
import uvloop

from offload.loopwatch import describe, loop_state, samples, suspects
from offload.loopwatch.step_clock import Scope, current, drive
from offload.loopwatch.watch import LoopWatch

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(autouse=True)
def may_block(blocking):
    """What is tested here blocks on purpose."""
    blocking.deactivate()


class Told:
    """What the watchdog told, and when."""

    def __init__(self):
        self.stalls = []
        self._news = threading.Condition()

    def __call__(self, stall):
        """Take a stall, on the watchdog's thread."""
        with self._news:
            self.stalls.append((time.monotonic_ns(), stall))
            self._news.notify_all()

    def wait(self, fits):
        """Return the first that fits, when it is there."""
        with self._news:
            assert self._news.wait_for(lambda: any(fits(one) for _, one in self.stalls), 10)
            return next((at, one) for at, one in self.stalls if fits(one))


def on(new_loop, work):
    """Run a job on a watched loop; return its scope, and what it returned and what was told."""
    told, scope = Told(), Scope("job", "1", "t.job")

    async def main():
        watch = LoopWatch(asyncio.get_running_loop(), told)
        await watch.start()
        current.set(scope)
        try:
            return await drive(work(watch), scope, watch.slot)
        finally:
            current.set(None)
            await asyncio.to_thread(told.wait, lambda one: one.is_over)
            await watch.stop()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return scope, runner.run(main()), told


def line_of(function, text):
    """Return the number of the line of a function that has a text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(n for n, line in enumerate(lines) if text in line)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_c_code_that_holds_the_gil_is_named_with_its_line(new_loop):
    """Though nobody can look while it lasts, also where a beat has not been judged yet as it begins."""
    library = ctypes.PyDLL(None)

    async def work(watch):
        for _ in range(4):
            await asyncio.sleep(0.03)
            library.usleep(150_000)

    _, _, told = on(new_loop, work)
    found = [describe.record(one, "worker", None) for _, one in told.stalls if one.kind == "step"]

    assert {one["line"] for one in found} == {line_of(work, "library.usleep")}
    assert {one["call"] for one in found} == {"library.usleep(150_000)"}
    assert all("a thread would not help" in one["hint"] for one in found)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_what_lasts_is_told_after_a_second_and_what_is_over_when_it_is(new_loop):
    """The live one while the step still runs, the other after."""

    async def work(watch):
        await asyncio.sleep(0.02)
        began = time.monotonic_ns()
        time.sleep(1.3)  # noqa: ASYNC251 - the stall
        return began, time.monotonic_ns()

    scope, (began, ended), told = on(new_loop, work)
    (live_at, live), (over_at, over) = told.stalls

    assert (live.is_over, live.kind, live.scope) == (False, "step", scope)
    assert (over.is_over, over.kind, over.scope) == (True, "step", scope)
    assert began + 1_000_000_000 <= live_at < ended <= over_at


def test_it_works_where_the_system_tells_less(monkeypatch):
    """Without /proc, without counts and clocks of single threads, as on macOS."""
    monkeypatch.setattr(loop_state, "_THREAD", None)
    monkeypatch.setattr("offload.loopwatch.verdicts.COUNTS_SWITCHES", False)
    monkeypatch.setattr(suspects, "clock_of", lambda thread: None)
    monkeypatch.setattr("offload.loopwatch.loop_state.clock_of", lambda thread: None)
    monkeypatch.setattr(samples.SchedStat, "__init__", lambda self, native_id: setattr(self, "_fd", None))

    async def work(watch):
        await asyncio.sleep(0.02)
        time.sleep(0.2)  # noqa: ASYNC251 - the stall

    _, _, told = on(asyncio.new_event_loop, work)
    ((_, stall),) = told.stalls
    record = describe.record(stall, "worker", None)

    assert (record["kind"], record["job_id"], record["line"]) == ("step", "1", line_of(work, "time.sleep"))


@pytest.mark.parametrize("new_loop", LOOPS)
def test_figures_say_how_the_loop_is_doing(new_loop):
    """Lag, the share of steps, and the time by function."""

    async def work(watch):
        await asyncio.sleep(0.1)
        before = watch.figures()
        time.sleep(0.3)  # noqa: ASYNC251 - the stall
        during = watch.figures()
        await asyncio.sleep(0.1)
        return before, during, watch.figures(), watch.figures()

    _, (before, during, after, again), _ = on(new_loop, work)

    assert before.busy < 0.9 < during.busy
    assert during.lag_ms >= 200
    assert after.max_lag_ms >= 200
    assert again.max_lag_ms < after.max_lag_ms
    assert after.loop_ns["t.job"] >= 300_000_000
