"""Addresses that sent too many invalid keys, counted in this process, in bounded memory.

The limit must stop those who guess without stopping those who happen to share their address (an office, a proxy). So an
address over its limit is still admitted with a key that cannot be a guess: one of the form of a generated key (256
random bits), or one that was valid from this address before. All other keys are refused: only a guesser sends those.
"""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil

FAILURES = 10
WINDOW_S = 60.0
ADDRESSES = 4096
"""The number of addresses that are remembered; the one idle for longest is forgotten first."""


class Throttle:
    """Counts invalid keys by address; times are seconds of any monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._known: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def wait(self, address: str) -> int:
        """Return the whole seconds for which this address is still refused, 0 if it is not."""
        began, count = self._failures.get(address, (0.0, 0))
        left = began + WINDOW_S - self._now()
        return ceil(left) if count >= FAILURES and left > 0 else 0

    def failed(self, address: str) -> bool:
        """Count an invalid key; return True if the address is refused from now on."""
        now = self._now()
        began, count = self._failures.pop(address, (now, 0))
        if now - began >= WINDOW_S:
            began, count = now, 0
        self._failures[address] = (began, count + 1)
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)
        return count + 1 == FAILURES

    def served(self, address: str, digest: bytes) -> None:
        """Note that a key was valid: from this address it is not a guess."""
        pair = (address, digest)
        if pair in self._known:
            self._known.move_to_end(pair)
            return
        self._known[pair] = None
        if len(self._known) > ADDRESSES:
            self._known.popitem(last=False)

    def knows(self, address: str, digest: bytes) -> bool:
        """Return True if this key was valid from this address before."""
        return (address, digest) in self._known


def address_of(client: tuple[str, int] | None) -> str:
    """Return the unit that is counted: an IPv4 address, an IPv6 /64 (one machine may have all of it), or nothing."""
    host = client[0] if client else ""
    if ":" not in host:
        return host
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return address.packed[:8].hex()
