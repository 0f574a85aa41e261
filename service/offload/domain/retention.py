"""The times for which results, records and dead jobs are kept after a job has ended."""

from dataclasses import dataclass

_FOREVER_MS = 10 * 365 * 86_400_000
"""TTL of the record of a job with a result that is kept for ever: Redis needs some time."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Times to live in ms, as Redis takes them: of a result, of a record beyond its result, of a dead or aborted job.

    `result_ttl_ms` applies if neither the job nor its function has a time of its own.
    """

    result_ttl_ms: int = 3_600_000
    record_ttl_ms: int = 3_600_000
    dead_ttl_ms: int = 30 * 86_400_000

    @classmethod
    def of(cls, result_ttl: float, record_ttl: float, dead_ttl: float) -> "Retention":
        """Return the retention of these times in seconds."""
        return cls(round(result_ttl * 1000), round(record_ttl * 1000), round(dead_ttl * 1000))

    def whole_record_ttl_ms(self, result_ttl_ms: int) -> int:
        """Return how long the record of a job that succeeded is kept; a result of -1 is kept for ever."""
        return _FOREVER_MS if result_ttl_ms < 0 else result_ttl_ms + self.record_ttl_ms
