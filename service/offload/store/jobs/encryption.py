"""Encryption at rest: a job's arguments and result in Redis are unreadable without the key.

AES-256-GCM-SIV (RFC 8452) as the `cryptography` package has it: with random nonces it is safe for any number of texts
that a queue can make, where plain AES-GCM may seal 2^32 under one key, which a busy one does in two days. A sealed
text is

    magic "OFS1" | key id, 4 bytes | nonce, 12 bytes | ciphertext and tag, 16 bytes longer than the plain text
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from offload.domain.errors import InvalidDefinition
from offload.domain.security.encryption_keys import ID_BYTES, read_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

MAGIC = b"OFS1"
_NONCE = 12
_HEAD = len(MAGIC) + ID_BYTES
OVERHEAD = _HEAD + _NONCE + 16


class CannotOpen(Exception):
    """A sealed text cannot be opened; `key_id` is that of its key; `is_missing` means that we do not have it."""

    def __init__(self, key_id: str, *, is_missing: bool) -> None:
        self.key_id = key_id
        self.is_missing = is_missing
        lacks = f"OFFLOAD_ENCRYPTION_KEYS has no key with the id {key_id}"
        super().__init__(
            f"it is encrypted, and {lacks}" if is_missing else f"it was changed since key {key_id} sealed it"
        )


class Sealer:
    """Seals with the first of its keys, opens with all of them. Without keys it opens nothing and seals nothing."""

    def __init__(self, entries: Sequence[str]) -> None:
        """Take the entries of OFFLOAD_ENCRYPTION_KEYS; raises ValueError, and InvalidDefinition without the package."""
        keys = read_keys(entries)
        self._ciphers = {key.id: _cipher(key.secret) for key in keys}
        self._head = MAGIC + keys[0].id if keys else b""
        self._first = self._ciphers[keys[0].id] if keys else None

    def __bool__(self) -> bool:
        return self._first is not None

    def seal(self, text: bytes) -> bytes:
        """Return the text sealed, or unchanged if there is no key."""
        if self._first is None:
            return text
        nonce = os.urandom(_NONCE)
        return b"".join((self._head, nonce, self._first.encrypt(nonce, text, self._head)))

    def open(self, data: bytes) -> bytes:
        """Return the text of sealed data; other data is returned unchanged. Raises CannotOpen."""
        if not is_sealed(data):
            return data
        head, nonce = data[:_HEAD], data[_HEAD : _HEAD + _NONCE]
        key_id = head[len(MAGIC) :]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise CannotOpen(key_id.hex(), is_missing=True)
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra, and it is there

        try:
            return cipher.decrypt(nonce, data[_HEAD + _NONCE :], head)
        except (InvalidTag, ValueError):
            raise CannotOpen(key_id.hex(), is_missing=False) from None


def is_sealed(data: bytes) -> bool:
    """Return True for sealed data: JSON begins with a brace, pickle with 0x80."""
    return data[:4] == MAGIC


def _cipher(secret: bytes) -> "AESGCMSIV":
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV  # noqa: PLC0415 - as above
    except ImportError:
        msg = "OFFLOAD_ENCRYPTION_KEYS needs the package `cryptography`: pip install 'offload[encryption]'"
        raise InvalidDefinition(msg) from None
    try:
        return AESGCMSIV(secret)
    except UnsupportedAlgorithm:
        msg = "OFFLOAD_ENCRYPTION_KEYS needs OpenSSL 3.2 or newer, which the wheels of `cryptography` bring along"
        raise InvalidDefinition(msg) from None
