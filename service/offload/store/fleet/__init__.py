"""What belongs to no single job: queues, schedules, workers, counters, the audit, stalls."""
