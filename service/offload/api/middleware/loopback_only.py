"""Keeps web pages away from an API without keys, which only this machine can reach.

A browser on this machine can reach it on behalf of any page that it shows. Two attacks are refused: DNS rebinding,
where the page's own name resolves to this machine (foreign `Host`), and forms and `fetch` of other pages (foreign
`Origin`).
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from offload.api.middleware import scopes
from offload.api.problems.request_errors import CrossSite, Misdirected
from offload.api.problems.responses import respond
from offload.domain.errors import OffloadError
from offload.domain.security.addresses import is_loopback
from offload.domain.security.api_keys import ANONYMOUS


class LoopbackOnly:
    """Answers 421 to calls by a foreign host name, and 403 to writes from pages of another origin."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._right: frozenset[bytes] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except OffloadError as error:
                await respond(error, scope, receive, send)
                return
            scope[scopes.KEY] = ANONYMOUS
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        host = origin = site = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if host not in self._right:
            self._check_host(host)
        if scope["method"] in scopes.READING:
            return
        if origin and origin.decode("latin-1") in self._origins:
            return
        # A browser says where a write comes from; a program that says nothing is none.
        is_foreign = site not in (b"same-origin", b"none") if site else bool(origin) and not _same(origin, host)
        if is_foreign:
            raise CrossSite(origin.decode("latin-1") or "another site")

    def _check_host(self, host: bytes) -> None:
        text = host.decode("latin-1").lower()
        name = _name(text)
        if not (is_loopback(name) or name in self._hosts):
            raise Misdirected(text)
        if len(self._right) < 16:
            self._right |= {host}


def _name(host: str) -> str:
    """Return a `Host` without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not name.endswith(":") else host


def _same(origin: bytes, host: bytes) -> bool:
    """Return True if a page of this origin came from this host."""
    return urlsplit(origin.decode("latin-1").lower()).netloc == host.decode("latin-1").lower()
