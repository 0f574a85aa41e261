"""When a recurring plan is due next."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offload.domain.clock import to_ms
from offload.domain.errors import InvalidDefinition
from offload.domain.schedules import Schedule

BERLIN = ZoneInfo("Europe/Berlin")
TIMES = st.integers(to_ms(datetime(2024, 1, 1, tzinfo=UTC)), to_ms(datetime(2028, 1, 1, tzinfo=UTC)))


def ms(*parts, zone=UTC, fold=0):
    return to_ms(datetime(*parts, tzinfo=zone, fold=fold))


def test_a_cron_plan_ticks_at_its_next_time():
    """The tick is strictly later than the time asked about."""
    plan = Schedule("daily", "x.f", cron="0 6 * * *")

    assert plan.next_after(ms(2026, 3, 1, 5, 59, 59)) == ms(2026, 3, 1, 6)
    assert plan.next_after(ms(2026, 3, 1, 6)) == ms(2026, 3, 2, 6)


def test_a_time_zone_shifts_the_tick():
    """06:00 in Berlin is 05:00 UTC in winter and 04:00 UTC in summer."""
    plan = Schedule("daily", "x.f", cron="0 6 * * *", timezone="Europe/Berlin")

    assert plan.next_after(ms(2026, 1, 10)) == ms(2026, 1, 10, 5)
    assert plan.next_after(ms(2026, 7, 10)) == ms(2026, 7, 10, 4)


def test_a_tick_in_the_hour_that_is_skipped_comes_right_after_it():
    """02:30 does not exist on the day that clocks go forward: the tick comes that day, once."""
    plan = Schedule("nightly", "x.f", cron="30 2 * * *", timezone="Europe/Berlin")
    first = plan.next_after(ms(2026, 3, 29, 0, 0, zone=BERLIN))

    assert ms(2026, 3, 29, 1, 59, zone=BERLIN) < first <= ms(2026, 3, 29, 3, 30, zone=BERLIN)
    assert plan.next_after(first) == ms(2026, 3, 30, 2, 30, zone=BERLIN)


def test_a_tick_in_the_hour_that_comes_twice_comes_once():
    """02:30 exists twice on the day that clocks go back: a daily plan ticks once."""
    plan = Schedule("nightly", "x.f", cron="30 2 * * *", timezone="Europe/Berlin")
    first = plan.next_after(ms(2026, 10, 25, 0, 0, zone=BERLIN))

    assert first in {ms(2026, 10, 25, 2, 30, zone=BERLIN, fold=fold) for fold in (0, 1)}
    assert plan.next_after(first) == ms(2026, 10, 26, 2, 30, zone=BERLIN)


@given(TIMES, st.sampled_from([0.1, 0.5, 1, 7, 60, 90.5, 3600]))
def test_every_worker_agrees_on_the_ticks_of_an_interval(at_ms, every):
    """Ticks fall on multiples of the interval since the epoch."""
    plan = Schedule("often", "x.f", every=every)
    tick = plan.next_after(at_ms)

    assert 0 < tick - at_ms <= every * 1000
    assert tick % round(every * 1000) == 0


@example(1_792_890_000_000, "30 2 * * *")  # 02:00 after the hour that winter time repeats; 02:30 has been
@given(TIMES, st.sampled_from(["*/5 * * * *", "30 2 * * *", "0 0 1 * *", "15 1-3 * * SUN", "0 * * * *"]))
def test_a_tick_is_the_next_one_of_the_moment_before_it(at_ms, cron):
    """Asked a millisecond before a tick, the plan names that tick: so a stored tick can be told from a changed plan."""
    plan = Schedule("plan", "x.f", cron=cron, timezone="Europe/Berlin")
    tick = plan.next_after(at_ms)

    assert tick > at_ms
    assert plan.next_after(tick - 1) == tick


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "either cron= or every="),
        ({"cron": "* * * * *", "every": 1}, "either cron= or every="),
        ({"every": 0.05}, "at least 0.1"),
        ({"cron": "61 * * * *"}, "'61 * * * *'"),
        ({"cron": "hello"}, "'hello'"),
        ({"cron": "* * * * *", "timezone": "Europe/Berlinn"}, "Europe/Berlinn"),
        ({"cron": "* * * * *", "timezone": "../etc/passwd"}, "time zone"),
    ],
)
def test_a_plan_that_cannot_tick_is_refused(options, said):
    """The error names the plan and what is wrong with it."""
    with pytest.raises(InvalidDefinition, match="Schedule") as refused:
        Schedule("broken", "x.f", **options)

    assert "'broken'" in str(refused.value)
    assert said in str(refused.value)


def test_a_plan_says_itself_in_words():
    """Lists show the plan as it was written."""
    assert Schedule("a", "x.f", every=90).describe() == "every 90 s"
    assert Schedule("b", "x.f", cron="0 6 * * *", timezone="UTC").describe() == "0 6 * * * (UTC)"
