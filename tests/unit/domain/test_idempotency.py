"""Idempotency keys and fingerprints."""

import pytest

from offload.domain.idempotency import LONGEST_KEY, fingerprint, hashed, is_key

REQUEST = ("POST", "/v1/jobs", b"a=1", b"{}")


@pytest.mark.parametrize("key", ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", '"quoted"', "a b", "~" * LONGEST_KEY])
def test_printable_ascii_is_a_key(key):
    """Up to 255 characters."""
    assert is_key(key)


@pytest.mark.parametrize("key", ["", " ", " a", "a ", "é", "a\tb", "a\x7f", "~" * (LONGEST_KEY + 1)])
def test_all_else_is_none(key):
    """Nothing, white space around it, control characters, other alphabets, too long."""
    assert not is_key(key)


@pytest.mark.parametrize(
    "other",
    [
        ("PUT", *REQUEST[1:]),
        ("POST", "/v1/job", *REQUEST[2:]),
        ("POST", "/v1/jobs", b"a=2", b"{}"),
        ("POST", "/v1/jobs", b"a=1", b"{} "),
        ("POST", "/v1/jobs", b"a=1{", b"}"),
    ],
)
def test_another_request_has_another_fingerprint(other):
    """Method, path, query and body count, each for itself."""
    assert fingerprint(*REQUEST) == fingerprint(*REQUEST)
    assert fingerprint(*REQUEST) != fingerprint(*other)


def test_each_caller_has_keys_of_their_own():
    """The same key of two API keys is two."""
    assert hashed("a", "k") == hashed("a", "k")
    assert len({hashed("a", "k"), hashed("b", "k"), hashed("a", "K")}) == 3
