"""`offload.testing`: a test that holds its event loop fails and names the line; what the machine did fails none."""

import asyncio
import gc
import hashlib
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import uvloop

from offload import JobContext, job, settings
from offload.testing import LoopHeld, no_stalls


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request, blocking):
    """Run a coroutine to its end, on a loop of either kind."""
    blocking.deactivate()
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def run(coro):
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coro)

    return run


def receive(seconds):
    """Wait for a peer that says nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(seconds)
        try:
            theirs.recv(1)
        except TimeoutError:
            return


def compute(seconds):
    """Compute in Python."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        sum(range(100))


def told_by(run, watched):
    """Return the lines of what a watched block raises; on a machine that is too busy what computes is `starved`."""
    while True:
        try:
            run(watched())
        except LoopHeld as error:
            return str(error).splitlines()


@pytest.mark.parametrize(
    ("hold", "call"),
    [
        (lambda: time.sleep(0.3), "time.sleep(0.3)"),
        (lambda: receive(0.3), "theirs.recv(1)"),
        (lambda: compute(0.3), "sum(range(100))"),
        (lambda: hashlib.pbkdf2_hmac("sha256", b"x", b"y", 1_000_000), "hashlib.pbkdf2_hmac"),
    ],
    ids=["sleep", "socket", "python", "pbkdf2"],
)
def test_what_holds_the_loop_is_named(run, hold, call):
    """With file, line, call, how long, and what to do instead."""

    async def watched():
        async with no_stalls():
            await asyncio.sleep(0.01)
            hold()
            await asyncio.sleep(0.01)

    title, line = told_by(run, watched)

    assert title == "1 stall of an event loop"
    assert "test_testing.py:" in line
    assert "held the loop" in line
    if call != "sum(range(100))":  # of a loop any line may be met
        assert call in line


def test_a_task_beside_the_block_is_named_too(run):
    """Whoever holds the loop meanwhile, until the very end of the block."""

    async def beside():
        await asyncio.sleep(0.01)
        time.sleep(0.25)  # noqa: ASYNC251 - it is what is to be named

    async def watched():
        async with no_stalls():
            await asyncio.gather(beside(), asyncio.sleep(0.05))

    with pytest.raises(LoopHeld, match=r"time\.sleep\(0\.25\)"):
        run(watched())


def test_what_is_over_as_the_block_ends_is_told(run):
    """Nothing has to be awaited between."""

    async def watched():
        async with no_stalls():
            time.sleep(0.25)  # noqa: ASYNC251 - as above

    with pytest.raises(LoopHeld):
        run(watched())


def test_short_stalls_are_seen_after_a_quiet_time(run):
    """A watch that nothing keeps awake would slow down after a second."""

    async def watched():
        async with no_stalls():
            await asyncio.sleep(1.3)
            time.sleep(0.2)  # noqa: ASYNC251 - as above
            await asyncio.sleep(0.01)

    with pytest.raises(LoopHeld):
        run(watched())


def test_who_holds_nothing_passes(run):
    """Many short steps, work in threads, and what the collector takes fail nothing; the value comes out."""

    async def watched():
        async with no_stalls(threshold=0.5):
            for _ in range(50):
                await asyncio.sleep(0.001)
            await asyncio.to_thread(time.sleep, 0.6)
            return "done"

    assert run(watched()) == "done"


def test_the_garbage_collector_is_nobodys_fault(run):
    """A collection that takes long is of kind `gc`."""
    kept = []

    async def watched():
        async with no_stalls(threshold=0.02):
            gc.collect()
        return len(kept)

    gc.disable()
    try:
        kept.extend({"n": n} for n in range(1_000_000))
        gc.enable()
        held = run(watched())
    finally:
        gc.enable()

    assert held == 1_000_000


def test_a_limit_of_ones_own(run):
    """What is shorter than the threshold is fine."""

    async def watched():
        async with no_stalls(threshold=2):
            time.sleep(0.15)  # noqa: ASYNC251 - as above

    run(watched())


def test_an_error_of_the_block_goes_on_with_a_note(run):
    """A failed assertion is not hidden by what held the loop."""

    async def watched():
        async with no_stalls():
            time.sleep(0.25)  # noqa: ASYNC251 - as above
            raise ValueError("no")

    with pytest.raises(ValueError, match="no") as raised:
        run(watched())

    assert "time.sleep(0.25)" in raised.value.__notes__[0]


def test_nothing_is_left_behind(run):
    """No thread, no callback of the collector, no task factory, no task."""
    before = (threading.active_count(), list(gc.callbacks))

    async def watched():
        loop = asyncio.get_running_loop()
        async with no_stalls():
            inside = loop.get_task_factory()
        return inside, loop.get_task_factory(), len(asyncio.all_tasks())

    assert run(watched()) == (None, None, 1)
    assert [list(gc.callbacks), threading.active_count() <= before[0] + 1] == [before[1], True]


@job(name="t.holds")
async def holds(ctx: JobContext) -> None:
    """Hold the loop of the worker, and of the test."""
    time.sleep(0.25)  # noqa: ASYNC251 - as above


@pytest.mark.serial
async def test_a_worker_in_the_test_is_watched_as_well(bench, blocking):
    """Its watch counts for the job, that of the test fails the test."""
    blocking.deactivate()
    with pytest.raises(LoopHeld, match=r"time\.sleep\(0\.25\)"):
        async with no_stalls(threshold=0.2), bench(holds) as b, b.worker():
            record = await b.run("t.holds")

    assert record.loop_ms >= 250


def test_a_fixture_watches_whole_tests(tmp_path):
    """Each asynchronous test that asks for it, or every one; tests of classes too, others are left alone."""
    (tmp_path / "conftest.py").write_text(
        "from offload.testing import no_stalls\n\nwatched = no_stalls.fixture(threshold=0.2, autouse=True)\n"
    )
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            import asyncio, time
            import pytest

            @pytest.fixture
            def slow():
                time.sleep(0.5)
                return 3

            @pytest.fixture
            async def slow_too():
                time.sleep(0.5)

            async def test_holds(slow):
                time.sleep(0.4)

            async def test_is_fine(slow, slow_too):
                await asyncio.sleep(0.01)
                assert slow == 3

            def test_has_no_loop():
                time.sleep(0.4)

            class TestThese:
                async def test_holds(self, slow):
                    time.sleep(0.4)

                @pytest.mark.parametrize("n", [1, 2])
                async def test_is_fine(self, n):
                    assert n
            """
        )
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-o",
        "asyncio_mode=auto",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        ".",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=settings.child_environment(), capture_output=True, text=True, check=False, timeout=50
    )

    assert "2 failed, 4 passed" in done.stdout, done.stdout + done.stderr
    assert "LoopHeld: 1 stall of an event loop" in done.stdout
    assert "test_it.py:15" in done.stdout
    assert "`time.sleep(0.4)`" in done.stdout
