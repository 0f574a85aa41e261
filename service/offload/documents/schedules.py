"""The documents of schedules."""

from typing_extensions import TypedDict

from offload.documents.schema import example


@example(
    name="report.daily",
    function="report.daily",
    plan="0 6 * * * (Europe/Berlin)",
    timezone="Europe/Berlin",
    next_at="2026-11-23T05:00:00.000Z",
    last_at="2026-11-22T05:00:00.000Z",
    last_job="report.daily:1795323600000",
    paused=False,
    links={"self": "/v1/schedules/report.daily", "run": "/v1/schedules/report.daily/run"},
)
class ScheduleDocument(TypedDict):
    """One schedule of the code: its plan, its next and last tick, and the job of the last tick.

    `next_at` is null until a worker has seen the schedule.
    """

    name: str
    function: str
    plan: str
    timezone: str
    next_at: str | None
    last_at: str | None
    last_job: str | None
    paused: bool
    links: dict[str, str]


class ScheduleList(TypedDict):
    """All schedules of the code, by name."""

    items: list[ScheduleDocument]
    next: None
