"""Kinds of addresses: public ones, by the special-purpose registries of IANA, and those of this machine alone."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The special-purpose registries of IANA (RFC 6890), the same for every Python version.
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


def is_loopback(host: str) -> bool:
    """Return True if only this machine can be meant: `localhost` or a loopback address, with brackets or without."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        ip: Address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # Python says so by itself from 3.13 on
    return ip.is_loopback


def why_refused(address: str) -> str | None:
    """Return the kind of an address that jobs may not reach; None for a public one.

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
