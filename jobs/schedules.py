"""The schedules of this clone."""

from offload import Schedule

DAILY = Schedule("report.daily", function="report.daily", cron="0 6 * * *")
