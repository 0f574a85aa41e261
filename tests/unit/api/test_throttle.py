"""Wrong keys counted by address."""

import pytest

from offload.api.middleware import throttle
from offload.api.middleware.throttle import ADDRESSES, FAILURES, WINDOW_S, Throttle, address_of


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_an_address_is_refused_after_ten_wrong_keys_for_the_rest_of_the_minute(clock):
    """The tenth wrong key within a minute closes the address until that minute is over."""
    watch = Throttle(clock)
    closing = [watch.failed("a") for _ in range(FAILURES)]
    clock.now += 20
    then = watch.wait("a")
    clock.now += WINDOW_S - 20

    assert closing == [False] * 9 + [True]
    assert then == 40
    assert watch.wait("a") == 0
    assert watch.wait("b") == 0


def test_old_failures_are_forgotten(clock):
    """Nine wrong keys now and one a minute later close nothing."""
    watch = Throttle(clock)
    for _ in range(FAILURES - 1):
        watch.failed("a")
    clock.now += WINDOW_S
    watch.failed("a")

    assert watch.wait("a") == 0


def test_memory_is_bounded(clock, monkeypatch):
    """However many addresses fail or are served, only the latest are remembered."""
    watch = Throttle(clock)
    for n in range(ADDRESSES + 100):
        watch.failed(f"f{n}")
        watch.served(f"s{n}", b"d")

    assert len(watch._failures) == len(watch._known) == ADDRESSES
    assert watch.knows(f"s{ADDRESSES}", b"d")
    assert not watch.knows("s0", b"d")
    assert throttle.ADDRESSES <= 10_000


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8:1:2:3::4", 1), "20010db800010002"),
        (("2001:db8:1:2:ffff::9", 1), "20010db800010002"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (("fe80::1%eth0", 1), "fe80000000000000"),
        (("testclient", 1), "testclient"),
        (None, ""),
    ],
)
def test_an_address_counts_as_what_one_machine_may_have(client, counted):
    """IPv4 addresses count one by one, IPv6 ones by their network of 64 bits."""
    assert address_of(client) == counted
