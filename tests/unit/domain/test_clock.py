"""The wall clock and how times are written."""

from datetime import UTC, datetime, timedelta, timezone

import time_machine

from offload.domain.clock import now_ms, rfc3339, to_ms


def test_the_time_is_in_milliseconds():
    """The unit is that of arq's scores."""
    with time_machine.travel(datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC), tick=False):
        assert now_ms() == 1_767_323_045_678


def test_times_are_rendered_in_utc_with_milliseconds():
    """RFC 3339, with Z; no time stays none."""
    assert rfc3339(1_767_323_045_678) == "2026-01-02T03:04:05.678Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(None) is None


def test_a_datetime_becomes_milliseconds_in_any_zone():
    """An aware time counts as it is, a naive one as UTC."""
    assert to_ms(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == to_ms(datetime(2026, 1, 1))  # noqa: DTZ001
