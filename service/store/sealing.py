"""Encryption at rest: what stands in Redis of a job's arguments and result is unreadable without the key.

XAES-256-GCM (https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key derived from half of a nonce of 192 bits.
Plain AES-GCM may seal 2^32 messages under one key, which a busy queue does in a day or two; this may seal 2^80. Fernet
is AES-128, makes texts a third longer and takes some five times as long. A sealed text is

    magic "OFS1" | key id, 4 bytes | nonce, 24 bytes | ciphertext and tag, 16 bytes longer than the plain text
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.domain.cryptokeys import ID_BYTES, read_keys
from service.domain.errors import InvalidDefinition

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"OFS1"
OVERHEAD = len(MAGIC) + ID_BYTES + 24 + 16

_HALF = 12
_HEAD = len(MAGIC) + ID_BYTES
_USES = 1 << 20
"""So many messages share the first half of a nonce, and so a derived key; their second halves are random."""

_KEPT = 512


class CannotOpen(Exception):
    """A sealed text cannot be opened; `key_id` is that of its key; `is_missing` says that we have it not."""

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
        self._keys = {key.id: _Derived(key.secret) for key in keys}
        self._head = MAGIC + keys[0].id if keys else b""
        self._first = self._keys[keys[0].id] if keys else None
        self._half, self._left = b"", 0
        self._cipher: AESGCM | None = None

    def __bool__(self) -> bool:
        return self._first is not None

    def seal(self, text: bytes) -> bytes:
        """Return the text sealed, or as it is where there is no key."""
        if self._first is None:
            return text
        if self._left == 0 or self._cipher is None:
            self._half, self._left = os.urandom(_HALF), _USES
            self._cipher = self._first.cipher(self._half)
        self._left -= 1
        nonce = os.urandom(_HALF)
        return b"".join((self._head, self._half, nonce, self._cipher.encrypt(nonce, text, self._head)))

    def open(self, data: bytes) -> bytes:
        """Return what was sealed; data that is not sealed is returned as it is. Raises CannotOpen."""
        if not is_sealed(data):
            return data
        head, half, nonce = data[:_HEAD], data[_HEAD : _HEAD + _HALF], data[_HEAD + _HALF : _HEAD + 2 * _HALF]
        key_id = head[len(MAGIC) :]
        derived = self._keys.get(key_id)
        if derived is None:
            raise CannotOpen(key_id.hex(), is_missing=True)
        try:
            return derived.cipher(half).decrypt(nonce, data[_HEAD + 2 * _HALF :], head)
        except derived.cannot_open:
            raise CannotOpen(key_id.hex(), is_missing=False) from None


def is_sealed(data: bytes) -> bool:
    """Whether somebody sealed this: JSON begins with a brace, pickle with 0x80."""
    return data[:4] == MAGIC


class _Derived:
    """One key, and the ciphers derived from it for the first halves of nonces that were met last."""

    def __init__(self, secret: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - as above
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above
        except ImportError:
            msg = "OFFLOAD_ENCRYPTION_KEYS needs the package `cryptography`: pip install 'offload[encryption]'"
            raise InvalidDefinition(msg) from None
        self._block = Cipher(algorithms.AES256(secret), modes.ECB())  # noqa: S305 - of single blocks, for CMAC
        self._aead = AESGCM
        self.cannot_open = (InvalidTag, ValueError)
        self._ciphers: OrderedDict[bytes, AESGCM] = OrderedDict()
        zero = int.from_bytes(self._encrypt(bytes(16)), "big")
        doubled = (zero << 1) & ((1 << 128) - 1)
        self._subkey = doubled ^ 0x87 if zero >> 127 else doubled  # K1 of CMAC (NIST SP 800-38B)

    def cipher(self, half: bytes) -> "AESGCM":
        """Return the cipher of the derived key: CMAC in counter mode over the half nonce (NIST SP 800-108)."""
        found = self._ciphers.get(half)
        if found is None:
            blocks = (b"\0" + bytes([counter]) + b"X\0" + half for counter in (1, 2))
            found = self._aead(b"".join(self._encrypt(self._masked(block)) for block in blocks))
            self._ciphers[half] = found
            if len(self._ciphers) > _KEPT:
                self._ciphers.popitem(last=False)
        else:
            self._ciphers.move_to_end(half)
        return found

    def _masked(self, block: bytes) -> bytes:
        return (int.from_bytes(block, "big") ^ self._subkey).to_bytes(16, "big")

    def _encrypt(self, block: bytes) -> bytes:
        return self._block.encryptor().update(block)
