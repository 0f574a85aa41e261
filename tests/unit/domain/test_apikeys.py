"""API keys: what an entry may say, what is wrong with it, and who is let in."""

import hashlib
import hmac

import pytest

from offload.domain.security import api_keys
from offload.domain.security.api_keys import EVERY_SCOPE, Keyring, Scope, read_entry

DIGEST = hashlib.sha256(b"s3cret").hexdigest()


def test_a_plain_secret_may_do_everything():
    """A plain secret is a key with every scope, named by the first digits of its hash."""
    key = read_entry("s3cret")

    assert (key.name, key.scopes) == (f"key-{DIGEST[:6]}", EVERY_SCOPE)
    assert Keyring.of(["s3cret"]).find(b"s3cret") == key


def test_a_named_entry_holds_no_secret():
    """`name:scope+scope:sha256=…` is found by the secret, and has only the scopes that it says."""
    ring = Keyring.of([f"ci:enqueue+read:sha256={DIGEST}", "other"])
    found = ring.find(b"s3cret")

    assert (found.name, found.scopes) == ("ci", {Scope.ENQUEUE, Scope.READ})
    assert ring.find(b"other").scopes == EVERY_SCOPE
    assert ring.find(b"s3cre") is None
    assert ring.find(DIGEST.encode()) is None


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (f"ci:enqueue:sha265={DIGEST}", "the key 'ci' must end with `sha256=` and 64 hex digits"),
        (f"ci:enqueue:sha256={DIGEST[:-1]}", "the key 'ci' must end with `sha256=` and 64 hex digits"),
        (f"ci:enqueue:sha256={DIGEST.upper()}", "64 hex digits in lower case"),
        (f"ci:write:sha256={DIGEST}", "there is no scope 'write'; the scopes are enqueue, read, operate"),
        (f"ci::sha256={DIGEST}", "there is no scope ''"),
        (f"my key:read:sha256={DIGEST}", "its name must be 1 to 64 letters"),
        (f":read:sha256={DIGEST}", "its name must be 1 to 64 letters"),
        ("hunter2:hunter3", "a plain secret has no colon"),
        ("hunter2:read:hunter3:", "the key 'hunter2' must end with"),
    ],
)
def test_a_malformed_entry_says_what_would_be_right(entry, said):
    """What is wrong with an entry is said with its place, and neither a secret nor a hash is repeated."""
    with pytest.raises(ValueError, match="entry 2: ") as refused:
        Keyring.of(["fine", entry])

    assert said in str(refused.value)
    assert "hunter3" not in str(refused.value)
    assert DIGEST[:20] not in str(refused.value)


def test_a_name_stands_for_one_key():
    """Two keys of one name are refused: the audit could not tell them apart."""
    with pytest.raises(ValueError, match="there is already a key named 'ci'"):
        Keyring.of([f"ci:read:sha256={DIGEST}", f"ci:operate:sha256={DIGEST[::-1]}"])


def test_a_new_key_is_random_and_fits_its_entry():
    """A new key has 32 random bytes behind `ofl_`, and its entry lets it in with its scopes."""
    (first, entry), (second, _) = api_keys.new("ci", ["read", "enqueue"]), api_keys.new("ci", ["read"])
    found = Keyring.of([entry]).find(first.encode())

    assert first.startswith("ofl_")
    assert len(first) == 4 + 43
    assert first != second
    assert first not in entry
    assert entry.startswith("ci:enqueue+read:sha256=")
    assert (found.name, found.scopes) == ("ci", {Scope.ENQUEUE, Scope.READ})
    assert api_keys.is_generated(first.encode())
    assert not api_keys.is_generated(b"s3cret")


def test_every_key_is_compared_in_constant_time(monkeypatch):
    """Whichever key is right, all are compared, by their hashes and with `hmac.compare_digest`."""
    compared = []

    def compare(left, right):
        compared.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    ring = Keyring.of(["first", "second", "third"])
    for presented in (b"first", b"third", b"none of them"):
        ring.find(presented)

    assert compared == [(32, 32)] * 9
