"""The load generator of the benchmarks against a server whose every answer is known."""

import asyncio

import pytest
from benchmarks.http_load import encoded, load

pytestmark = pytest.mark.serial
BODY = b'{"a": 1}'


class Known(asyncio.Protocol):
    """Counts requests, looks at each, and answers in the way that the test says."""

    def __init__(self, server):
        self.server = server
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport
        self.server.connections += 1

    def data_received(self, data):
        self.buffer += data
        wanted = self.server.wanted
        while self.buffer.startswith(wanted):
            self.buffer = self.buffer[len(wanted) :]
            self.server.requests += 1
            self.server.answer(self.transport, self.server.requests)
        self.server.was_odd |= not wanted.startswith(self.buffer)


class Server:
    """What came, and how it is answered."""

    def __init__(self):
        self.requests = self.connections = 0
        self.was_odd = False
        self.wanted = b""
        self.answer = whole

    async def start(self):
        loop = asyncio.get_running_loop()
        self.listening = await loop.create_server(lambda: Known(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listening.sockets[0].getsockname()[1]}/x?y=1"
        return self


def whole(transport, _number):
    transport.write(b"HTTP/1.1 202 Accepted\r\nServer: known\r\nContent-Length: 5\r\n\r\nhello")


def in_parts(transport, _number):
    for part in (b"HTTP/1.1 200 OK\r\ncontent-", b"length: 70000\r\ndate: now\r\n\r\nabc", b"d" * 60_000, b"e" * 9_997):
        transport.write(part)


def half_failing(transport, number):
    status = b"500 Oh" if number % 2 else b"204 Well"
    transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")


def hanging_up(transport, number):
    if number % 10 == 0:
        transport.close()
    else:
        whole(transport, number)


@pytest.fixture
async def server():
    """A server on a port of its own."""
    made = await Server().start()
    yield made
    made.listening.close()


@pytest.mark.parametrize("answer", [whole, in_parts])
async def test_every_request_is_answered_and_counted(server, answer):
    """As many connections as asked for, the request as it was made, answers in one piece or in several."""
    server.answer, server.wanted = answer, encoded(server.url, "POST", BODY)
    found = await load(server.url, "POST", BODY, connections=8, seconds=0.3, warm=0)

    assert (server.connections, server.was_odd, found.errors) == (8, False, 0)
    assert 0 < found.answers <= server.requests <= found.answers + 8
    assert found.rate == pytest.approx(found.answers / 0.3, rel=0.2)
    assert 0 < found.p50 <= found.p99 < 300


async def test_answers_that_are_not_good_are_errors(server):
    """Whatever is not 2xx."""
    server.answer, server.wanted = half_failing, encoded(server.url, "GET", b"")
    found = await load(server.url, connections=4, seconds=0.2, warm=0)

    assert found.errors == pytest.approx(found.answers / 2, abs=4)


async def test_a_connection_that_breaks_is_an_error_and_made_anew(server):
    """The load goes on."""
    server.answer, server.wanted = hanging_up, encoded(server.url, "GET", b"")
    found = await load(server.url, connections=4, seconds=0.2, warm=0)

    assert found.errors == pytest.approx(server.requests / 10, abs=4)
    assert server.connections == pytest.approx(4 + found.errors, abs=4)


async def test_a_paced_load_counts_from_when_a_request_was_due(server):
    """Each connection asks so often; a server that stands still does not keep requests from being counted as late."""
    stalled = []

    def stall_once(transport, number):
        if number == 20:
            stalled.append(asyncio.get_running_loop().call_later(0.2, whole, transport, number))
        else:
            whole(transport, number)

    server.answer, server.wanted = stall_once, encoded(server.url, "GET", b"")
    found = await load(server.url, connections=2, seconds=0.6, warm=0, every=0.01)

    assert found.answers == pytest.approx(120, abs=12)
    assert found.p50 < 20
    assert found.p99 > 150
