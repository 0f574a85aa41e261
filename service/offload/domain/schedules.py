"""Schedules as values, with the next tick after a given time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from offload.domain.clock import to_ms
from offload.domain.errors import InvalidDefinition


@dataclass(frozen=True, slots=True)
class Schedule:
    """Run `function` by `cron` (five fields, in `timezone`) or `every` N seconds, exactly once a tick.

    Ticks of `every` fall on multiples of the interval since the epoch, so that all workers agree on them.
    Ticks that are missed while no worker runs are made up for by one job, not by one job per tick.
    """

    name: str
    function: str
    cron: str | None = None
    every: float | None = None
    timezone: str = "UTC"
    args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.every is None):
            msg = f"Schedule({self.name!r}) needs either cron= or every=, and not both"
            raise InvalidDefinition(msg)
        if self.every is not None and self.every < 0.1:
            msg = f"Schedule({self.name!r}, every={self.every}) must be at least 0.1 s"
            raise InvalidDefinition(msg)
        try:
            zone = ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            msg = f"Schedule({self.name!r}): there is no time zone {self.timezone!r}; use 'Europe/Berlin', 'UTC' …"
            raise InvalidDefinition(msg) from error
        if self.cron is not None:
            try:
                CronSim(self.cron, datetime(2026, 1, 1, tzinfo=zone))
            except CronSimError as error:
                msg = f"Schedule({self.name!r}): {self.cron!r} is not a cron expression ({error}); '0 6 * * *' is 06:00"
                raise InvalidDefinition(msg) from error

    def next_after(self, at_ms: int) -> int:
        """Return the time in ms of the first tick later than `at_ms`; DST as in Debian's cron (cronsim)."""
        if self.every is not None:
            step = round(self.every * 1000)
            return (at_ms // step + 1) * step
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(self.timezone))
        ticks = map(to_ms, CronSim(str(self.cron), local))
        return next(tick for tick in ticks if tick > at_ms)  # in a repeated hour cronsim may name the earlier one

    def describe(self) -> str:
        """Return the plan as a short text, for lists."""
        return f"every {self.every:g} s" if self.every is not None else f"{self.cron} ({self.timezone})"
