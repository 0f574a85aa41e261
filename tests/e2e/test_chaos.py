"""A short run of the chaos program; `make chaos` is the long one."""

import pytest
from e2e.chaos import Plan, chaos


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
