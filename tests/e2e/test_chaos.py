"""A short run of the chaos program; `make chaos` is the long one."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from e2e.chaos import Plan, chaos
from support.processes import children_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(120)
def test_nothing_is_lost_when_workers_and_redis_are_killed_stopped_and_starved(capsys: pytest.CaptureFixture[str]):
    """Every accepted job ends as it must, and runs twice at once only where its worker or Redis was away."""
    report = chaos(Plan(seed=1, jobs=400, seconds=12))
    said = "\n".join(report.lines())

    assert not report.lost, said
    assert not report.unexplained(), said
    assert report.is_fine, said
    assert len(report.deeds.redis) == 1, said
    assert report.deeds.killed, said
    assert report.deeds.stopped, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_run_that_is_cut_short_reports_what_it_knows(number):
    """Whatever ends the program but SIGKILL: it stops its workers, says what was known until then, and exits with 1."""
    command = [sys.executable, "tests/e2e/chaos.py", "--seed", "1", "--jobs", "5000"]
    program = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        while len(children_of(program.pid)) < 4:  # noqa: ASYNC110 - Redis and three workers, of another process
            await asyncio.sleep(0.02)
        program.send_signal(number)
        said, _ = await program.communicate()

    assert program.returncode == 1
    assert said.decode().startswith("seed 1, 3 workers")
    assert "CUT SHORT" in said.decode()
