"""Encryption at rest, by itself: the algorithm, the keys, what cannot be opened."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from offload.domain.security import encryption_keys
from offload.domain.security.encryption_keys import read_keys
from offload.store.jobs import encryption
from offload.store.jobs.codec import Codec, KeyMissing, Undecodable
from offload.store.jobs.encryption import CannotOpen, Sealer, is_sealed

OLD, NEW = encryption_keys.new(), encryption_keys.new()


def test_it_is_aes_256_gcm_siv():
    """What stands behind the head is what RFC 8452 makes of key, nonce, head and text."""
    sealed = Sealer([OLD]).seal(b"text")
    head, nonce, rest = sealed[:8], sealed[8:20], sealed[20:]

    assert head == encryption.MAGIC + read_keys([OLD])[0].id
    assert AESGCMSIV(read_keys([OLD])[0].secret).decrypt(nonce, rest, head) == b"text"


def test_what_was_sealed_is_opened():
    """The text comes back; each sealing of it looks different, and is 36 bytes longer."""
    sealer = Sealer([OLD])
    first, second = sealer.seal(b"text"), sealer.seal(b"text")

    assert (sealer.open(first), sealer.open(second)) == (b"text", b"text")
    assert first != second
    assert len(first) == len(b"text") + encryption.OVERHEAD == 40
    assert Sealer([OLD]).open(first) == b"text"


def test_keys_are_rotated_by_putting_the_new_one_first():
    """The first key seals, all open; when the old one is taken out, what it sealed cannot be opened any more."""
    old = Sealer([OLD]).seal(b"text")
    both = Sealer([NEW, OLD])
    new = both.seal(b"text")
    with pytest.raises(CannotOpen) as refused:
        Sealer([NEW]).open(old)

    assert (both.open(old), both.open(new), Sealer([NEW]).open(new)) == (b"text", b"text", b"text")
    assert refused.value.is_missing
    assert refused.value.key_id == read_keys([OLD])[0].id.hex()


def test_a_change_of_any_byte_is_seen():
    """Nobody who can write to Redis can change what is sealed: neither text, nonce, nor key id."""
    sealer = Sealer([OLD])
    sealed = sealer.seal(b"some text")
    for place in range(len(encryption.MAGIC), len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(CannotOpen):
            sealer.open(changed)
    for length in range(len(encryption.MAGIC), len(sealed)):
        with pytest.raises(CannotOpen):
            sealer.open(sealed[:length])


def test_what_is_not_sealed_is_read_as_it_is():
    """JSON and pickle that stood there before are opened unchanged; without keys nothing is sealed."""
    assert [Sealer([OLD]).open(text) for text in (b'{"t":null}', b"\x80\x05.", b"")] == [
        b'{"t":null}',
        b"\x80\x05.",
        b"",
    ]
    assert Sealer(()).seal(b"text") == b"text"
    assert not is_sealed(b'{"t":null}')


@pytest.mark.parametrize("kind", ["json", "pickle"])
def test_a_codec_seals_both_payload_and_result(kind):
    """Whatever the serializer, what is stored is sealed, and read back; a codec without the key says which it needs."""
    codec = Codec.named(kind, Sealer([OLD]))
    payload = codec.encode_job("t.f", {"word": "visible"}, 1)
    read = codec.decode_job(payload)
    result = codec.encode_result("id", "arq:queue", read, 1, 2, 3, result=b'"visible"', value="visible")
    with pytest.raises(KeyMissing) as refused:
        Codec.named(kind).decode_job(payload)

    assert read.kwargs == {"word": "visible"}
    assert codec.decode_result(result).value == "visible"
    assert b"visible" not in payload + result
    assert refused.value.key_id == read_keys([OLD])[0].id.hex()
    assert "OFFLOAD_ENCRYPTION_KEYS has no key with the id" in str(refused.value)


def test_a_json_codec_opens_no_sealed_pickle():
    """Encryption opens no way round the rule that pickle is read only where the setting says so."""
    sealed = Codec.named("pickle", Sealer([OLD])).encode_job("t.f", {}, 1)

    with pytest.raises(Undecodable, match="pickle is only read with OFFLOAD_SERIALIZER=pickle"):
        Codec.named("json", Sealer([OLD])).decode_job(sealed)


@pytest.mark.parametrize("entries", [["hunter2"], [OLD, "ofe_short"], [OLD[4:]], [OLD, OLD]])
def test_a_bad_key_is_refused_and_not_shown(entries):
    """An entry that is no key, or is there twice, is named by its place."""
    with pytest.raises(ValueError, match=r"entry [12] ") as refused:
        read_keys(entries)

    assert "hunter2" not in str(refused.value)
    assert OLD[4:] not in str(refused.value)
