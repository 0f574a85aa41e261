"""Errors of HTTP requests, found before the request reaches the job queue.

InvalidRequest
├── InvalidParameters    a query parameter or header is wrong; `fields` names each
├── BodyNotJson          the body cannot be read as JSON
├── BodyTooLarge         the body is over OFFLOAD_MAX_BODY_BYTES
├── BodyTooSlow          the body was not received in time
├── UrlTooLong           path and query are over the limit
├── HeadersTooLarge      the headers are over the limit
├── WrongMediaType       the body is not declared as JSON
├── RangeOutside         the requested range lies outside the file
├── Misdirected          called by a host name that is not this service's
└── CrossSite            a write that a browser sent for a page of another site
Unauthorized             no key, or an invalid one
InsufficientScope        the key lacks the required scope
TooManyFailures          too many invalid keys came from this address
"""

from collections.abc import Sequence

from offload.domain.errors import FieldError, InvalidRequest, OffloadError


class InvalidParameters(InvalidRequest):
    """A query parameter or a header is wrong; `fields` names each."""

    def __init__(self, fields: Sequence[FieldError]) -> None:
        self.fields = tuple(fields)
        super().__init__("; ".join(f"{field.path}: {field.message}" for field in self.fields))


class BodyNotJson(InvalidRequest):
    """The body cannot be read as JSON."""


class BodyTooLarge(InvalidRequest):
    """The body is over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body exceeds the limit of {limit} bytes (OFFLOAD_MAX_BODY_BYTES)")


class WrongMediaType(InvalidRequest):
    """The body is not declared as JSON."""


class RangeOutside(InvalidRequest):
    """The requested range lies outside the file."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the range starts beyond the end of the file ({size} bytes)")


class Unauthorized(OffloadError):
    """No key, or an invalid one."""


class BodyTooSlow(InvalidRequest):
    """The body was not received in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the body was not received within {seconds:g} s")


class UrlTooLong(InvalidRequest):
    """Path and query are over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"path and query exceed the limit of {limit:,} bytes")


class HeadersTooLarge(InvalidRequest):
    """The headers are over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the headers exceed the limit of {limit:,} bytes in total")


class Misdirected(InvalidRequest):
    """Without keys only this machine may call, by a host name of this machine."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host[:100]!r} is not a host name of this service; use localhost or 127.0.0.1, "
            "or add it to OFFLOAD_ALLOWED_HOSTS"
        )


class CrossSite(InvalidRequest):
    """Without keys no page of another origin may write."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"cross-site request from {origin[:100]}; to allow it, add the origin to OFFLOAD_CORS_ORIGINS "
            "or require keys (OFFLOAD_API_KEYS)"
        )


class InsufficientScope(OffloadError):
    """The key is valid but lacks the scope `needed`."""

    def __init__(self, needed: str, name: str) -> None:
        self.needed = needed
        super().__init__(f"this call requires the scope `{needed}`, which key {name!r} does not have")


class TooManyFailures(OffloadError):
    """Too many invalid keys came from this address; it is refused for `wait` seconds."""

    def __init__(self, wait: int) -> None:
        self.wait = wait
        super().__init__(f"too many invalid API keys from this address; retry in {wait} s")
