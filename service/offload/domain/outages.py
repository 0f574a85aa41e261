"""Outages of Redis as values: the pause before the next try, and where an outage begins and ends."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Seconds before each next try: `min(limit, base * factor ** (failures - 1))`, of which up to half is taken off.

    The random half spreads the tries of a fleet; the fixed half keeps a loop from trying again at once, as full
    jitter, which is right for retries of a job, would allow.
    """

    base: float = 0.1
    factor: float = 2.0
    limit: float = 2.0

    def pause(self, failures: int, jitter: float) -> float:
        """Return the seconds to wait after this number of failures in a row; `jitter` is random in [0, 1)."""
        whole = min(self.limit, self.base * self.factor ** min(failures - 1, 32))
        return whole * (1 - jitter / 2)


RECONNECT = Reconnect()


@dataclass(slots=True)
class Outage:
    """The outage that the parts of one process share: it begins with the first failure of any part.

    It ends when every part that failed was served again. So a part that Redis refuses (no memory, read-only) while it
    serves another is reported once. Times are seconds on one clock.
    """

    _since: float = 0.0
    _tries: int = 0
    _failures: dict[str, int] = field(default_factory=dict)

    def failed(self, part: str, now: float) -> tuple[int, bool]:
        """Count a failure; return the number in a row of this part, and True if an outage begins with it."""
        begins = not self._failures
        if begins:
            self._since, self._tries = now, 0
        self._tries += 1
        self._failures[part] = self._failures.get(part, 0) + 1
        return self._failures[part], begins

    def served(self, part: str, now: float) -> tuple[float, int] | None:
        """Count a success; if it ends an outage return its seconds and the number of calls that failed in it."""
        if not self._failures or self._failures.pop(part, None) is None or self._failures:
            return None
        return now - self._since, self._tries
