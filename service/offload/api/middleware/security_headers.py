"""Headers of every answer, which limit the use that a browser makes of it.

OWASP's secure headers, as far as they apply to an API: https://owasp.org/www-project-secure-headers/
"""

from starlette.types import Message

_EVERY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NO_STORE = (b"cache-control", b"no-store")
_NOTHING = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")

_NO_WAY_OUT = ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]

PAGE_POLICY = "; ".join(["default-src 'none'", "style-src 'self'", "img-src 'self'", *_NO_WAY_OUT])
"""For a page without script: its style sheet and its icon."""

DOCS_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        *_NO_WAY_OUT,
    ]
)
"""Of `/docs`: Swagger UI's script and style, the icons in its style sheet, and calls to this API. Nothing inline."""


class SecurityHeaders:
    """Adds them; the headers for caching and content that an answer has already stay."""

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
