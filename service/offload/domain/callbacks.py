"""Callbacks: a signed webhook about the end of a job, delivered by a job of its own.

The callback job is prepared when the job is enqueued, and enqueued by the script that ends the job, whatever ends it.
This module has the rules for callback URLs, and the conditions under which one can be delivered.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from offload.domain.errors import FieldError, InvalidArguments, InvalidOptions
from offload.domain.security.addresses import why_refused

FUNCTION = "webhook.callback"
LONGEST_URL = 2000
KEPT_S = 4 * 86_400
"""A job with a callback is kept for this long at least: deliveries are tried for three days."""


def callback_id(job_id: str, end: int) -> str:
    """Return the id of the callback job for the `end`-th end of a job; the scripts build the same id."""
    return f"callback:{job_id}:{end}"


def check_callback_url(url: str) -> str:
    """Return the URL, or raise ValueError if it is not a complete http(s) one that may be shown to anybody."""
    if len(url) > LONGEST_URL:
        msg = f"has {len(url)} characters; it may have {LONGEST_URL}"
        raise ValueError(msg)
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be ASCII without spaces; encode other characters as RFC 3986 says")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        msg = f"is not a URL: {error}"
        raise ValueError(msg) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a complete http: or https: URL, as in https://example.com/hooks/jobs")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user or password, since documents show it; deliveries are signed instead")
    return url


def why_private(url: str) -> str | None:
    """Return the kind of the URL's address if it is not public; None for a host name, which is checked at delivery."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return "loopback"
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return why_refused(host)


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Settings for callbacks: secrets to sign them exist, private addresses are allowed."""

    has_secrets: bool = False
    allow_private: bool = False

    def check(self, url: str, functions: Mapping[str, Any]) -> None:
        """Raise InvalidOptions, with the field, where a callback to this URL could not be delivered."""
        if FUNCTION not in functions:
            _refuse(
                f"needs the job function {FUNCTION!r}, which OFFLOAD_JOBS does not load (it is in 'jobs')", "no_job"
            )
        if not self.has_secrets:
            _refuse("needs OFFLOAD_WEBHOOK_SECRETS to be set: a callback is always signed", "no_secret")
        if not self.allow_private and (kind := why_private(url)):
            _refuse(
                f"leads to a {kind} address; callbacks go to public ones only, "
                "unless OFFLOAD_ALLOW_PRIVATE_ADDRESSES=true is set",
                "private_address",
            )
        try:
            functions[FUNCTION].arguments.validate({"url": url})
        except InvalidArguments as error:
            _refuse("; ".join(field.message for field in error.fields), "invalid_url")


def _refuse(message: str, code: str) -> None:
    raise InvalidOptions(f"callback_url {message}", [FieldError("callback_url", message, f"callback_{code}")])
