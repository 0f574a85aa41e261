"""`offload keys`: secrets made on this machine."""

import pytest

from offload.domain.security.api_keys import Keyring
from offload.domain.security.encryption_keys import read_keys


def test_a_new_key_is_shown_once_with_its_entry(offload):
    """`keys new` prints the secret and the entry of OFFLOAD_API_KEYS, which lets it in with its scopes and no more."""
    said = offload("keys", "new", "--name", "ci", "--scope", "read", "--scope", "enqueue")
    document = offload("keys", "new", "--name", "ci", "--scope", "operate", "--json").json
    secret, entry = (line.split()[-1] for line in said.out.splitlines())
    key = Keyring.of([entry]).find(secret.encode())

    assert (said.code, said.err) == (0, "")
    assert secret.startswith("ofl_")
    assert (key.name, sorted(key.scopes)) == ("ci", ["enqueue", "read"])
    assert Keyring.of([document["entry"]]).find(document["key"].encode()).scopes == {"operate"}
    assert document["scopes"] == ["operate"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "c i", "--scope", "read"], "is not a key name"),
        (["--name", "ci", "--scope", "write"], "'write' is not one of 'enqueue', 'read', 'operate'"),
        (["--name", "ci"], "Missing option '--scope'"),
        (["--scope", "read"], "Missing option '--name'"),
    ],
)
def test_a_bad_key_is_usage(offload, words, said):
    """A bad name, an unknown scope and a missing option are reported, with exit code 2."""
    done = offload("keys", "new", *words)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.startswith("error: ")


def test_an_encryption_key_is_one_that_is_taken(offload):
    """`keys encryption` prints an entry of OFFLOAD_ENCRYPTION_KEYS; with --json its public id too."""
    entry = offload("keys", "encryption").out.strip()
    document = offload("keys", "encryption", "--json").json

    assert len(read_keys([entry, document["key"]])) == 2
    assert document["id"] == read_keys([document["key"]])[0].id.hex()


def test_a_malformed_key_in_the_settings_is_one_line(offload, monkeypatch):
    """The service does not start with a malformed entry; it says which, and shows none."""
    monkeypatch.setenv("OFFLOAD_API_KEYS", "fine,hunter2:read")
    keys = offload("api")
    monkeypatch.setenv("OFFLOAD_API_KEYS", "fine")
    monkeypatch.setenv("OFFLOAD_ENCRYPTION_KEYS", "hunter2")
    encryption = offload("api")

    assert (keys.code, encryption.code) == (3, 3)
    assert keys.err.startswith("error: OFFLOAD_API_KEYS: entry 2: it has one colon; an entry is a plain secret or")
    assert encryption.err.startswith("error: OFFLOAD_ENCRYPTION_KEYS: entry 1 is not an encryption key")
    assert "hunter2" not in keys.err + encryption.err
