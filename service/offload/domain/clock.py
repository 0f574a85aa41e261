"""The only reader of the wall clock; everything else is given the time."""

import time
from datetime import UTC, datetime
from functools import lru_cache


def now_ms() -> int:
    """Return milliseconds since the Unix epoch, the unit of every time that is stored (arq's `score`)."""
    return time.time_ns() // 1_000_000


@lru_cache(1024)
def rfc3339(at_ms: int | None) -> str | None:
    """Render stored milliseconds as RFC 3339 in UTC, with milliseconds; None stays None."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_ms(at: datetime) -> int:
    """Turn an aware datetime into stored milliseconds; a naive one is taken as UTC."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)
