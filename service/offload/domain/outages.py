"""Redis being away, as values: how long to wait before the next try, and when there is something to say of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Seconds before each next try: `min(limit, base * factor ** (failures - 1))`, of which up to half is taken off.

    The random half keeps a fleet from coming back in one moment; the other half keeps a loop from turning at once,
    as full jitter, right for retries of a job, would let it.
    """

    base: float = 0.1
    factor: float = 2.0
    limit: float = 2.0

    def pause(self, failures: int, jitter: float) -> float:
        """Return the seconds to wait after so many failures in a row; `jitter` is a chance in [0, 1)."""
        whole = min(self.limit, self.base * self.factor ** min(failures - 1, 32))
        return whole * (1 - jitter / 2)


RECONNECT = Reconnect()


@dataclass(slots=True)
class Outage:
    """What the parts of one process meet: an outage begins with the first failure of any, and ends with the last's.

    A part that Redis refuses (no memory, read-only) while it serves another keeps the outage going, so it is told of
    once, not at every turn. Times are seconds on any one clock.
    """

    _since: float = 0.0
    _tries: int = 0
    _failures: dict[str, int] = field(default_factory=dict)

    def failed(self, part: str, now: float) -> tuple[int, bool]:
        """Note a failure; return how many in a row the part has had, and whether an outage begins with it."""
        begins = not self._failures
        if begins:
            self._since, self._tries = now, 0
        self._tries += 1
        self._failures[part] = self._failures.get(part, 0) + 1
        return self._failures[part], begins

    def served(self, part: str, now: float) -> tuple[float, int] | None:
        """Note a success; when it ends an outage return the seconds that lasted, and how many calls failed in it."""
        if not self._failures or self._failures.pop(part, None) is None or self._failures:
            return None
        return now - self._since, self._tries
