"""The one loopback test: by it the API decides who may reach it without keys."""

import pytest

from offload.domain.security.addresses import is_loopback


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_this_machine_is_loopback(host):
    """By name, by any address of 127.0.0.0/8, by ::1, and by IPv4 inside IPv6."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "192.168.0.1", "::ffff:10.0.0.1", "localhost.example.com", "127.0.0.1.nip.io", "a"]
)
def test_any_other_host_is_not_loopback(host):
    """Nor is a name that only looks like one, or an address that listens on every interface."""
    assert not is_loopback(host)
