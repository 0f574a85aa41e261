"""Signatures of webhooks as specified by https://www.standardwebhooks.com."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from pydantic import SecretStr

SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret


def check_secret(secret: SecretStr) -> SecretStr:
    """Return the secret, or raise ValueError if it is not `whsec_` and base64 of 24 to 64 bytes."""
    try:
        key = _key(secret)
    except binascii.Error:
        key = b""
    if not 24 <= len(key) <= 64:
        msg = "must be 'whsec_' followed by the base64 of 24 to 64 random bytes"
        raise ValueError(msg)
    return secret


def signature(secrets: Iterable[SecretStr], webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one `v1` signature for each secret; `timestamp` in seconds."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digests = (hmac.new(_key(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _key(secret: SecretStr) -> bytes:
    """Return the key bytes of a `whsec_…` secret; empty without that prefix."""
    text = secret.get_secret_value()
    if not text.startswith(SECRET_PREFIX):
        return b""
    return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
