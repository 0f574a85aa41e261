"""Keys of the encryption at rest, as values: the entries of OFFLOAD_ENCRYPTION_KEYS."""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

PREFIX = "ofe_"
BYTES = 32
ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """256 bits; `id` is public: it precedes everything that the key encrypted."""

    secret: bytes = field(repr=False)
    id: bytes


def read_keys(entries: Sequence[str]) -> tuple[EncryptionKey, ...]:
    """Read the entries, in their order; raises ValueError, which names the wrong one and shows no key."""
    keys: dict[bytes, EncryptionKey] = {}
    for number, entry in enumerate(entries, 1):
        text = entry.removeprefix(PREFIX)
        try:
            secret = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != BYTES or not entry.startswith(PREFIX):
            msg = f"entry {number} is not an encryption key; `offload keys encryption` makes one ({PREFIX}…)"
            raise ValueError(msg)
        key = EncryptionKey(secret, hashlib.sha256(b"offload key id" + secret).digest()[:ID_BYTES])
        if key.id in keys:
            raise ValueError(f"entry {number} is listed twice")
        keys[key.id] = key
    return tuple(keys.values())


def new() -> str:
    """Make a key of 256 random bits, as an entry."""
    return PREFIX + secrets.token_urlsafe(BYTES)
