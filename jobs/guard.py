"""The guard against server-side request forgery: the only way by which a job opens a URL that a caller gave it.

A name is resolved here, its addresses are checked here, and the connection goes to the very address that was checked,
so a name that resolves to something else a moment later (DNS rebinding) gains nothing. Every redirect hop passes again.
Proxies from the environment are not used: behind one, nobody knows which address is reached.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import cache

import httpx

from service import GiveUp

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

MOST_ADDRESSES = 4
DEFAULT_CONNECT_TIMEOUT = 10.0

# The special-purpose registries of IANA (RFC 6890), as they stand for every Python version alike.
_REFUSED_V4 = (
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a carrier's NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "a retired 6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_REFUSED_V6 = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
    ("2001::/23", "reserved for protocols"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "a retired 6to4 tunnel"),
    ("3fff::/20", "for documentation"),
)
_NETWORKS_V4 = tuple((ipaddress.IPv4Network(network), kind) for network, kind in _REFUSED_V4)
_NETWORKS_V6 = tuple((ipaddress.IPv6Network(network), kind) for network, kind in _REFUSED_V6)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(GiveUp):
    """The URL leads to an address that jobs may not reach; trying again cannot help."""


def why_refused(address: str) -> str | None:
    """Say what kind of address this is if jobs may not reach it; None when it is public.

    IPv4 inside IPv6 (mapped, NAT64) is judged by the IPv4 address that is reached in the end.
    """
    try:
        ip: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "not an IP address"
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped
        if inner is None:
            return _why_v6_refused(ip)
        ip = inner
    return next((kind for network, kind in _NETWORKS_V4 if ip in network), None)


def _why_v6_refused(ip: ipaddress.IPv6Address) -> str | None:
    kind = next((kind for network, kind in _NETWORKS_V6 if ip in network), None)
    return kind or (None if ip in _GLOBAL_V6 else "not globally routed")


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host in the system's order; raise OSError where there is none."""
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
            msg = f"{request.url.scheme}: URLs are not fetched, only http: and https: ones"
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
                f"{host!r} leads to {named}: jobs reach public addresses only, "
                "unless OFFLOAD_ALLOW_PRIVATE_ADDRESSES=true is set for the worker"
            )
            raise AddressRefused(msg)
        return allowed[:MOST_ADDRESSES]

    async def aclose(self) -> None:
        """Close what is still open."""
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
