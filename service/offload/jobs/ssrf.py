"""The guard against server-side request forgery: the way in which shipped jobs open a URL from a caller.

A name is resolved here, its addresses are checked here, and the connection goes to the very address that was checked,
so a name that resolves to something else a moment later (DNS rebinding) gains nothing. Every redirect hop passes again.
Proxies from the environment are not used: behind one, the address that is reached is unknown.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import cache

import httpx

from offload import GiveUp
from offload.domain.security.addresses import why_refused

Resolve = Callable[[str, int], Awaitable[list[str]]]

MOST_ADDRESSES = 4
DEFAULT_CONNECT_TIMEOUT = 10.0


class AddressRefused(GiveUp):
    """The URL resolves to an address that jobs may not reach; a retry cannot help."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host in the system's order; raise OSError if it has no address."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@cache
def tls_context() -> ssl.SSLContext:
    """Return the process's TLS settings; reading the certificates takes some 10 ms, so call this once in a thread."""
    return httpx.create_ssl_context(trust_env=False)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends a request to a checked address of its host, under the host's own name (Host header, SNI, certificate).

    No connection is kept for a second request: one that was opened for another name at the same address would carry
    that name's certificate.
    """

    def __init__(
        self, *, allow_private: bool = False, tls: ssl.SSLContext | None = None, resolve: Resolve = resolve
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        limits = httpx.Limits(max_connections=4, max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=tls or tls_context(), trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; raise AddressRefused, or httpx.ConnectError when no allowed address can be reached."""
        if request.url.scheme not in ("http", "https"):
            msg = f"{request.url.scheme}: URLs are not supported, only http: and https:"
            raise AddressRefused(msg)
        addresses = self._allowed(request.url.host, await self._addresses(request))
        for address in addresses[:-1]:
            try:
                return await self._inner.handle_async_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_pinned(request, addresses[-1]))

    async def _addresses(self, request: httpx.Request) -> list[str]:
        url = request.url
        limit = request.extensions.get("timeout", {}).get("connect") or DEFAULT_CONNECT_TIMEOUT
        try:
            async with asyncio.timeout(limit):
                return await self._resolve(url.raw_host.decode("ascii"), url.port or _default_port(url))
        except TimeoutError as error:
            msg = f"looking up {url.host!r} took longer than {limit:g} s"
            raise httpx.ConnectTimeout(msg, request=request) from error
        except (OSError, UnicodeError) as error:
            msg = f"the name {url.host!r} cannot be resolved: {error}"
            raise httpx.ConnectError(msg, request=request) from error

    def _allowed(self, host: str, addresses: list[str]) -> list[str]:
        refusals = {} if self._allow_private else {a: kind for a in addresses if (kind := why_refused(a))}
        allowed = [address for address in addresses if address not in refusals]
        if not allowed:
            named = ", ".join(f"{address} ({kind})" for address, kind in refusals.items()) or "no address"
            msg = (
                f"{host!r} resolves to {named}: jobs may reach public addresses only, "
                "unless OFFLOAD_ALLOW_PRIVATE_ADDRESSES=true is set for the worker"
            )
            raise AddressRefused(msg)
        return allowed[:MOST_ADDRESSES]

    async def aclose(self) -> None:
        """Close open connections."""
        await self._inner.aclose()


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """Return the request aimed at an address; the Host header was set from the name when the request was built."""
    extensions = {**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")}
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers.raw,
        stream=request.stream,
        extensions=extensions,
    )


def _default_port(url: httpx.URL) -> int:
    return 443 if url.scheme == "https" else 80


async def guarded_client(*, allow_private: bool, step_timeout: float) -> httpx.AsyncClient:
    """Return a client for one job: guarded, `step_timeout` seconds for each step, no redirects, no proxies."""
    tls = await asyncio.to_thread(tls_context)
    return httpx.AsyncClient(
        transport=GuardedTransport(allow_private=allow_private, tls=tls),
        timeout=step_timeout,
        follow_redirects=False,
        trust_env=False,
    )
