"""Clients that are slow, silent, too many, or talk nonsense: raw connections to a real server."""

import asyncio
import contextlib
import json
import select
import socket

import pytest

from integration.api.support import serving
from offload.api.server import protocol as protocol_module
from offload.api.server.protocol import ProtocolLimits
from offload.app import create_app

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/functions/numbers.add/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def server(redis_client, settings, catalogue):
    """The application behind sockets, with little patience; yields host and port."""
    quick = settings.model_copy(update={"request_timeout": 0.3})
    patience = ProtocolLimits(request_s=0.3, unread_s=0.5, connections=20)
    async with serving(create_app(quick, catalogue), patience) as address:
        yield "127.0.0.1", int(address.rpartition(":")[2])


@contextlib.asynccontextmanager
async def connected(server, **options):
    """One connection."""
    reader, writer = await asyncio.open_connection(*server, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def rest(reader):
    """Return all that comes until the server closes; fails the test when it does not."""
    data = b""
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):  # it was still sending
            while part := await reader.read(65536):
                data += part
    return data


def is_problem(data, status, slug):
    """Whether an answer is this problem, and the last one of its connection."""
    head, _, body = data.partition(b"\r\n\r\n")
    return (
        head.startswith(b"HTTP/1.1 %d " % status)
        and b"content-type: application/problem+json" in head.lower()
        and json.loads(body)["type"] == f"/problems/{slug}"
    )


@pytest.mark.parametrize("sent", [b"GET /livez HTTP/1.1\r\nHost: loc", b"GET /liv", GET + b"GET /livez HTTP/1.1\r\nX"])
async def test_a_head_that_does_not_come_in_time_is_408(server, sent):
    """A client that sends a head slowly, the first or a later one, is told so and cut off."""
    async with connected(server) as (reader, writer):
        writer.write(sent)
        answers = await rest(reader)
    last = answers[answers.rindex(b"HTTP/1.1 ") :]

    assert is_problem(last, 408, "request-timeout")


@pytest.mark.parametrize("framing", [b"Content-Length: 20\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\n"])
async def test_a_body_that_trickles_is_408(server, framing):
    """It is the whole body that must come in time: a byte now and then does not extend it."""
    async with connected(server) as (reader, writer):
        writer.write(POST + framing)
        answer = asyncio.create_task(rest(reader))
        for byte in b'{"a"':
            writer.write(bytes([byte]))
            await asyncio.wait([answer], timeout=0.15)
        data = await answer

    assert is_problem(data, 408, "request-timeout")


async def test_a_body_of_a_request_that_is_already_answered_cannot_trickle_for_ever(server, monkeypatch):
    """A 413 is sent before the body is read; the rest of it is not waited for long."""
    monkeypatch.setattr(protocol_module, "_SLACK_S", 0.1)
    async with connected(server) as (reader, writer):
        writer.write(POST + b"Content-Length: 99999999\r\n\r\n")
        answer = asyncio.create_task(rest(reader))
        while not answer.done():
            writer.write(b" ")
            await asyncio.wait([answer], timeout=0.1)

    assert b"HTTP/1.1 413 " in await answer


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n"])
async def test_a_silent_connection_is_closed(server, sent):
    """Who connects and asks nothing gets no answer, and no place."""
    async with connected(server) as (reader, writer):
        writer.write(sent)

        assert await rest(reader) == b""


async def test_blank_lines_keep_no_connection_open(server):
    """Empty lines between requests are allowed, and are no sign of life."""
    async with connected(server) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b'"ok"}')
        answer = asyncio.create_task(rest(reader))
        while not answer.done():
            writer.write(b"\r\n")
            await asyncio.wait([answer], timeout=0.1)

    assert await answer == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\n: novalue\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem(server, sent):
    """Garbage is answered as a problem with a 4xx, and the connection is closed."""
    async with connected(server) as (reader, writer):
        writer.write(sent)
        data = await rest(reader)

    assert data[9:10] == b"4"
    assert b"content-type: application/problem+json" in data.lower()


async def test_garbage_behind_a_request_does_not_spoil_its_answer(server):
    """The request before it is answered whole; then the connection is closed."""
    async with connected(server) as (reader, writer):
        writer.write(GET + b"\x00\x01garbage\r\n\r\n")
        data = await rest(reader)

    assert data.startswith(b"HTTP/1.1 200 ")
    assert data.endswith(b'{"status":"ok"}')


async def test_pipelined_requests_are_answered_in_turn(server):
    """Twenty requests in one packet are twenty answers."""
    async with connected(server) as (reader, writer):
        writer.write(GET * 20)
        async with asyncio.timeout(5):
            for _ in range(20):
                await reader.readuntil(b'{"status":"ok"}')


@pytest.mark.parametrize(
    ("sent", "status", "slug"),
    [
        (b"GET /" + b"a" * 100_000, 414, "uri-too-long"),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n", 414, "uri-too-long"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000, 431, "headers-too-large"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 100_000, 431, "headers-too-large"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431, "headers-too-large"),
    ],
)
async def test_a_head_without_end_is_refused_while_it_comes(server, sent, status, slug):
    """However it is sent, a head takes bounded memory."""
    async with connected(server, limit=1 << 22) as (reader, writer):
        writer.write(sent)
        data = await rest(reader)

    assert data == b"" or is_problem(data, status, slug)  # nothing: the connection was reset while it was still sending


async def test_an_upgrade_is_not_taken_up(server):
    """A client that offers another protocol (a browser's WebSocket, Java's h2c) is answered in this one."""
    async with connected(server) as (reader, writer):
        writer.write(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        data = await rest(reader)

    assert data.startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_does_not_read_is_cut_off(server, redis_client):
    """A stream whose client takes nothing for a while is ended; its place is free again."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    event = '[{"event":"log","id":"j","at":1,"message":"%s"}]' % ("x" * 100_000)
    with contextlib.closing(client):
        await loop.sock_connect(client, server)
        await loop.sock_sendall(client, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await loop.sock_recv(client, 100)
        for _ in range(80):  # more than the sockets of both sides hold
            await redis_client.xadd("offload:events", {"e": event})
        cut = select.poll()
        cut.register(client, select.POLLERR | select.POLLHUP)
        async with asyncio.timeout(5):
            while not cut.poll(0):  # noqa: ASYNC110 - nothing is to be read meanwhile
                await asyncio.sleep(0.01)


async def test_one_connection_too_many_is_refused(server):
    """Who comes when all places are taken is told to come again later; who has a place keeps it."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            reader, writer = await stack.enter_async_context(connected(server))
            writer.write(GET)
            await reader.readuntil(b'"ok"}')
        extra, _ = await stack.enter_async_context(connected(server))
        refused = await rest(extra)
        writer.write(GET)
        again = await reader.readuntil(b'"ok"}')

    assert is_problem(refused, 503, "too-many-connections")
    assert b"retry-after: " in refused
    assert again.startswith(b"HTTP/1.1 200 ")


async def test_a_half_closed_connection_is_over(server):
    """A client that has closed its side gets the answers that are made at once, and no place is kept for it."""
    async with connected(server) as (reader, writer):
        writer.write(GET)
        writer.write_eof()
        data = await rest(reader)

    assert data == b"" or data.startswith(b"HTTP/1.1 200 ")
