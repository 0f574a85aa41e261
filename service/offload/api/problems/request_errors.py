"""Errors that only HTTP knows: what is wrong with a request before anybody asks what it is about.

InvalidRequest
├── InvalidParameters    a query parameter or header is wrong; `fields` names each
├── BodyNotJson          the body cannot be read as JSON
├── BodyTooLarge         the body is over OFFLOAD_MAX_BODY_BYTES
├── BodyTooSlow          the body did not come in time
├── UrlTooLong           path and query are over the limit
├── HeadersTooLarge      the headers are over the limit
├── WrongMediaType       the body is not declared as JSON
├── RangeOutside         the range asked for lies outside the file
├── Misdirected          called by a host name that is not this service's
└── CrossSite            a write that a page of another site sent through a browser
Unauthorized             no key, or a wrong one
InsufficientScope        the key may not do this
TooManyFailures          too many wrong keys came from this address
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
        super().__init__(f"the body is larger than the {limit} bytes that are taken (OFFLOAD_MAX_BODY_BYTES)")


class WrongMediaType(InvalidRequest):
    """The body is not declared as JSON."""


class RangeOutside(InvalidRequest):
    """The range asked for lies outside the file."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the range begins after the end of the file, which has {size} bytes")


class Unauthorized(OffloadError):
    """No key, or a wrong one."""


class BodyTooSlow(InvalidRequest):
    """The body did not come in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the body did not come within {seconds:g} s")


class UrlTooLong(InvalidRequest):
    """Path and query are over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"path and query are longer than the {limit:,} bytes that are taken")


class HeadersTooLarge(InvalidRequest):
    """The headers are over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the headers are larger than the {limit:,} bytes that are taken, all together")


class Misdirected(InvalidRequest):
    """Without keys only this machine may call, by a name that only this machine gives itself."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host[:100]!r} is no name of this service; call it as localhost or 127.0.0.1, "
            "or add the name to OFFLOAD_ALLOWED_HOSTS"
        )


class CrossSite(InvalidRequest):
    """Without keys no page of another origin may write."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"a page of {origin[:100]} sent this; OFFLOAD_CORS_ORIGINS lets it in, or ask for keys (OFFLOAD_API_KEYS)"
        )


class InsufficientScope(OffloadError):
    """The key is right, and may not do this; `needed` is the scope that it lacks."""

    def __init__(self, needed: str, name: str) -> None:
        self.needed = needed
        super().__init__(f"this call needs a key with the scope `{needed}`, which {name!r} has not")


class TooManyFailures(OffloadError):
    """Too many wrong keys came from this address; `wait` is for how many seconds it is refused."""

    def __init__(self, wait: int) -> None:
        self.wait = wait
        super().__init__(f"too many wrong keys came from this address; it may try again in {wait} s")
