"""Idempotency keys: a request that is repeated under the same key has no second effect.

After the IETF draft draft-ietf-httpapi-idempotency-key-header: a key belongs to its caller, and the fingerprint shows
whether two requests are the same.
"""

import hashlib
import re
from dataclasses import dataclass

LONGEST_KEY = 255
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a request under way: `key` names it in Redis, `value` is JSON with its fingerprint and its owner."""

    key: str
    value: bytes


def is_key(text: str) -> bool:
    """Return True for a valid key: up to 255 printable ASCII characters."""
    return _KEY.fullmatch(text) is not None


def hashed(who: str, key: str) -> str:
    """Return the name of a key in Redis; the keys of callers are separate."""
    return hashlib.sha256(f"{who}\0{key}".encode()).hexdigest()


def fingerprint(method: str, path: str, query: bytes, body: bytes) -> str:
    """Return 64 hex digits that are equal for two requests that are equal byte for byte."""
    digest = hashlib.sha256(f"{method} {path}".encode())
    for part in (query, body):
        digest.update(b"\0%d\0" % len(part))
        digest.update(part)
    return digest.hexdigest()
