"""State of the fleet rather than of one job: queues, schedules, workers, counters, the audit, stalls."""
