"""The guard that keeps jobs from private addresses."""

import ssl

import httpx
import pytest
import trustme

from offload.jobs.ssrf import AddressRefused, GuardedTransport, why_refused


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
        "2002:7f00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
        "nonsense",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address):
    """Private, loopback, link-local, multicast, reserved and disguised addresses are named for what they are."""
    assert why_refused(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "9.255.255.255", "2606:4700::1111",
     "::ffff:1.1.1.1", "64:ff9b::101:101"],
)  # fmt: skip
def test_a_public_address_is_let_through(address):
    """Addresses beside the refused ranges are not refused."""
    assert why_refused(address) is None


def resolving(*answers):
    """Return a resolver that gives each answer once, and the list of names it was asked for."""
    asked, left = [], list(answers)

    async def resolve(host, _port):
        asked.append(host)
        return left.pop(0)

    return resolve, asked


async def test_the_checked_address_is_the_one_that_is_used(web):
    """A name is resolved once, and the request goes to that address under its own name (no second lookup to poison)."""
    web.answer("/", body=b"ok")
    resolve, asked = resolving(["127.0.0.1"])
    async with httpx.AsyncClient(transport=GuardedTransport(allow_private=True, resolve=resolve)) as client:
        response = await client.get(web.url(host="pinned.example"))

    assert response.text == "ok"
    assert asked == ["pinned.example"]
    assert web.seen[0].headers["host"] == f"pinned.example:{web.port}"
    assert str(response.url) == web.url(host="pinned.example")


async def test_a_name_that_turns_private_is_refused(web):
    """A name that resolves to a private address is refused, whatever it resolved to before."""
    resolve, _ = resolving(["127.0.0.1"])
    async with httpx.AsyncClient(transport=GuardedTransport(resolve=resolve)) as client:
        with pytest.raises(AddressRefused, match=r"'rebind.example' resolves to 127.0.0.1 \(loopback\)"):
            await client.get(web.url(host="rebind.example"))
    assert web.seen == []


async def test_the_next_address_is_tried(web):
    """When the first address of a name cannot be reached, the next one is."""
    web.answer("/", body=b"ok")
    resolve, _ = resolving(["127.0.0.3", "127.0.0.1"])
    async with httpx.AsyncClient(transport=GuardedTransport(allow_private=True, resolve=resolve)) as client:
        response = await client.post(web.url(host="two.example"), content=b"body")

    assert response.text == "ok"
    assert web.seen[0].body == b"body"


@pytest.fixture
def authority():
    """Return a certificate authority of our own."""
    return trustme.CA()


@pytest.fixture
def tls_names(web, authority):
    """Make the server speak TLS as `pinned.example`; return the names that clients ask for."""
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pinned.example").configure_cert(context)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    web.wrap(context)
    return names


async def test_tls_is_checked_against_the_name(web, authority, tls_names):
    """TLS asks for the name, and its certificate is checked against it, though the address is pinned."""
    web.answer("/", body=b"ok")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    resolve, _ = resolving(["127.0.0.1"], ["127.0.0.1"])
    transport = GuardedTransport(allow_private=True, tls=trust, resolve=resolve)
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get(web.url(host="pinned.example", scheme="https"))
        with pytest.raises(httpx.ConnectError, match=r"(?i)hostname mismatch"):
            await client.get(web.url(host="other.example", scheme="https"))

    assert response.text == "ok"
    assert tls_names == ["pinned.example", "other.example"]
