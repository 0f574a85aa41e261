"""Headers that every answer carries, so that a browser does nothing with it that was not meant.

OWASP's secure headers, as far as they mean something for an API: https://owasp.org/www-project-secure-headers/
"""

import base64
import hashlib
import re

from starlette.types import Message

_EVERY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NO_STORE = (b"cache-control", b"no-store")
_NOTHING = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class SecurityHeaders:
    """Adds them; what an answer says itself of caching and content stands."""

    def __init__(self, hsts_seconds: int = 0) -> None:
        self._hsts = (b"strict-transport-security", f"max-age={hsts_seconds}".encode()) if hsts_seconds else None

    def add(self, start: Message, *more: tuple[bytes, bytes], is_tls: bool) -> None:
        """Add them, and `more`, to the start of an answer. HSTS is sent over TLS only (RFC 6797, 7.2)."""
        headers = start["headers"] = [*start.get("headers", ()), *_EVERY, *more]
        has_cache = has_policy = False
        for name, _ in headers:
            if name == b"cache-control":
                has_cache = True
            elif name == b"content-security-policy":
                has_policy = True
        if not has_cache:
            headers.append(_NO_STORE)
        if not has_policy:
            headers.append(_NOTHING)
        if self._hsts is not None and is_tls:
            headers.append(self._hsts)


def policy_of(page: str) -> str:
    """Return the Content-Security-Policy of one of our pages: its own inline scripts, by hash, and what it links to."""
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline]
    scripts = sorted(set(re.findall(r'<script[^>]* src="(https://[^"]+)"', page)))
    styles = sorted(set(re.findall(r'<link[^>]* rel="stylesheet"[^>]* href="(https://[^"]+)"', page)))
    return "; ".join(
        [
            "default-src 'none'",
            " ".join(["script-src", *hashes, *scripts]),
            " ".join(["style-src", "'unsafe-inline'", *styles]),  # Swagger UI styles its elements in place
            "img-src 'self' data: https://fastapi.tiangolo.com",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
