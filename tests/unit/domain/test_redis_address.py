"""Addresses of Redis, read without connecting."""

import pytest

from offload.domain import redis_address
from offload.domain.errors import InvalidOptions
from offload.domain.redis_address import DEFAULT_URL, RedisAddress
from offload.settings import Settings, SettingsError, load_settings


def test_the_default_is_the_server_of_this_machine():
    """Settings without an address mean the server that listens on this machine's usual port."""
    assert Settings.model_fields["redis_url"].default == DEFAULT_URL
    assert redis_address.parse(DEFAULT_URL) == RedisAddress(hosts=(("127.0.0.1", 6379),))


@pytest.mark.parametrize("scheme", redis_address.SCHEMES)
def test_every_scheme_is_read(scheme):
    """An address of each scheme has parts; it is known by its scheme alone."""
    url = f"{scheme}:///run/redis.sock" if scheme == "unix" else f"{scheme}://me:p%40@r/1"

    assert redis_address.has_known_scheme(url)
    assert redis_address.parse(url)


def test_parts_of_a_tls_address():
    """Host, port, database and credentials, which are unquoted; TLS follows from the scheme."""
    expected = RedisAddress(hosts=(("r", 7000),), database=3, username="me", password="p@", has_tls=True)

    assert redis_address.parse("rediss://me:p%40@r:7000/3") == expected


def test_an_address_is_not_shown_with_its_password():
    """Neither as a value nor in the refusal of one that cannot be read."""
    with pytest.raises(InvalidOptions) as refused:
        redis_address.parse("redis://me:hunter2@r:port/0")

    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(redis_address.parse("redis://me:hunter2@r/0"))


def test_settings_refuse_an_address_that_cannot_be_read(monkeypatch):
    """A setting with a known scheme and a bad port is refused when the settings are read, with what would be right."""
    monkeypatch.setenv("OFFLOAD_REDIS_URL", "redis://me:hunter2@r:70000/0")
    with pytest.raises(SettingsError, match=r"OFFLOAD_REDIS_URL: .*use redis://host:6379/0") as refused:
        load_settings()

    assert "hunter2" not in str(refused.value)
