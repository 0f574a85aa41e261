"""The demo jobs, and those on a schedule."""

import pytest

from offload.cli.demo.jobs import flaky, sleep, tick
from offload.jobs.maintenance import prune
from offload.jobs.report import daily


async def test_flaky_fails_and_then_succeeds(run_job):
    """It raises on the attempts it was told to, and returns on the next."""
    for attempt in (1, 2):
        run_job.attempt = attempt
        with pytest.raises(Exception, match=f"attempt {attempt} of 2"):
            await run_job(flaky)
    run_job.attempt = 3

    assert (await run_job(flaky)).attempt == 3


async def test_sleep_tells_its_progress(run_job):
    """It lasts as long as asked and ends at a fraction of 1."""
    slept = await run_job(sleep, seconds=0.15)

    assert slept >= 0.15
    assert [fraction for fraction, _ in run_job.progress][-1] == 1.0
    assert len(run_job.progress) >= 3


async def test_tick_says_which_job_it_was(run_job):
    """It returns the id of the job that its schedule made."""
    assert (await run_job(tick)).job_id == run_job.job_id


async def test_prune_says_how_much_went(run_job):
    """maintenance.prune returns how many records it removed."""
    assert (await run_job(prune)).removed == 7


async def test_the_daily_report_names_the_worst_first(run_job):
    """report.daily puts functions with dead jobs first."""
    report = await run_job(daily)

    assert report.summary == [
        "stored now: 2 queued, 40 succeeded, 3 dead",
        "b.bad, last 24 h: 3 dead, 9 retried",
        "a.fine, last 24 h: 40 succeeded",
    ]
