"""A load generator for HTTP/1.1 that leaves the machine to the server: one process, one epoll, requests made once.

Closed loop: each connection sends its next request when the answer to the last one is whole. With `every` it is paced
instead: a request is due each so many seconds, and its latency counts from when it was due, so that a server that stood
still is not spared the requests that it kept from being sent.

It understands what the servers that are measured answer: a status line, and a body as long as `Content-Length` says.
`python -m benchmarks.http_load URL [METHOD] [--body FILE]` does it from a shell.
"""

import argparse
import asyncio
import contextlib
import heapq
import json
import select
import socket
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.quantiles import quantile

_READ = 1 << 18
_REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Load:
    """What came of it: answers a second and their latency in ms, of the time after the warm-up.

    `errors` counts answers that were not 2xx, and connections that broke.
    """

    rate: float
    p50: float
    p99: float
    errors: int
    answers: int
    cpu_share: float


async def load(
    url: str | Sequence[str],
    method: str = "GET",
    body: bytes = b"",
    connections: int = 32,
    seconds: float = 3.0,
    *,
    warm: float = 0.5,
    every: float = 0.0,
) -> Load:
    """Load a server from a process of its own, so that the caller's own work is not in its way.

    Of several URLs of one server each connection takes one, in turn.
    """
    urls = url if isinstance(url, str) else "\n".join(url)
    arguments = [urls, method, "--body", "-", "--connections", str(connections), "--seconds", str(seconds)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.http_load",
        *arguments,
        "--warm",
        str(warm),
        "--every",
        str(every),
        cwd=_REPOSITORY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(body)
    if process.returncode != 0:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    return Load(**json.loads(out))


class Connection:
    """One connection, and where it stands with the request that is under way on it."""

    __slots__ = ("at", "body_left", "due", "head", "is_good", "request", "sock")

    def __init__(self, address: tuple[str, int], request: bytes, due: float) -> None:
        self.at = address
        self.request = request
        self.due = due
        self.open()

    def open(self) -> None:
        """Connect anew; the address is on this machine, so that takes no time."""
        self.sock = socket.create_connection(self.at, 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head, self.body_left, self.is_good = b"", -1, True

    def feed(self, data: bytes) -> bool:
        """Take what was read; return whether the answer is whole. Raises ValueError for what is no such answer."""
        if self.body_left < 0:
            data = self.head + data if self.head else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.head = data
                return False
            head = data[:end].lower()
            place = head.find(b"\r\ncontent-length:")
            if not head.startswith(b"http/1.1 ") or place < 0:
                raise ValueError("no answer with a Content-Length")
            stop = head.find(b"\r", place + 2)
            length = int(head[place + 17 : stop if stop > 0 else end])
            self.is_good = head[9:10] == b"2"
            self.head, self.body_left = b"", length - (len(data) - end - 4)
        else:
            self.body_left -= len(data)
        if self.body_left > 0:
            return False
        self.body_left = -1
        return True


class Generator:
    """Sends requests over and over on many connections, one each, until the time is up."""

    def __init__(self, urls: Sequence[str], method: str, body: bytes, connections: int, every: float) -> None:
        parts = urlsplit(urls[0])
        requests = [encoded(url, method, body) for url in urls]
        self._every = every
        self._poll = select.epoll()
        begin = time.perf_counter()
        address = (parts.hostname or "", parts.port or 80)
        self._all = [
            Connection(address, requests[i % len(requests)], begin + every * i / connections)
            for i in range(connections)
        ]
        self._by_fd = {}
        self._waiting: list[tuple[float, int]] = []
        self.latencies = array("d")
        self.errors = 0
        for one in self._all:
            self._watch(one)
            self._next(one, begin)

    def run(self, ends: float) -> None:
        """Go on until then, on the clock of `time.perf_counter`."""
        clock, keep = time.perf_counter, self.latencies.append
        while (now := clock()) < ends:
            while self._waiting and self._waiting[0][0] <= now:
                one = self._by_fd.get(heapq.heappop(self._waiting)[1])
                if one is not None:
                    one.sock.sendall(one.request)
            soonest = min(ends, self._waiting[0][0] if self._waiting else ends) - now
            for fd, _ in self._poll.poll(max(soonest, 0)):
                one = self._by_fd[fd]
                try:
                    data = one.sock.recv(_READ)
                    if not data:
                        raise ConnectionResetError
                    if not one.feed(data):
                        continue
                    now = clock()
                    keep(now - one.due)
                    self.errors += not one.is_good
                    self._next(one, now)
                except (OSError, ValueError):
                    self.errors += 1
                    self._again(one)

    def _next(self, one: Connection, now: float) -> None:
        """Send the next request, or note when it is due."""
        if not self._every:
            one.due = now
            one.sock.sendall(one.request)
            return
        one.due += self._every
        heapq.heappush(self._waiting, (one.due, one.sock.fileno()))

    def _watch(self, one: Connection) -> None:
        self._by_fd[one.sock.fileno()] = one
        self._poll.register(one.sock, select.EPOLLIN)

    def _again(self, one: Connection) -> None:
        self._poll.unregister(one.sock)
        del self._by_fd[one.sock.fileno()]
        one.sock.close()
        one.open()
        self._watch(one)
        self._next(one, time.perf_counter())

    def close(self) -> None:
        """Leave the server without a word: what is under way is of no more interest."""
        for one in self._all:
            with contextlib.suppress(OSError):
                one.sock.close()
        self._poll.close()


def encoded(url: str, method: str, body: bytes) -> bytes:
    """Return the request as it goes over the wire."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def measure(
    url: str, method: str, body: bytes, connections: int, seconds: float, warm: float, every: float = 0.0
) -> Load:
    """Load a server from this process."""
    generator = Generator(url.split("\n"), method, body, connections, every)
    try:
        generator.run(time.perf_counter() + warm)
        del generator.latencies[:]
        generator.errors = 0
        began, used = time.perf_counter(), time.process_time()
        generator.run(began + seconds)
        took, used = time.perf_counter() - began, time.process_time() - used
    finally:
        generator.close()
    found = [1000 * one for one in generator.latencies]
    p50, p99 = (quantile(found, share) if found else float("nan") for share in (0.5, 0.99))
    return Load(len(found) / took, p50, p99, generator.errors, len(found), used / took)


def main() -> None:
    """Measure what the command line says, and print it as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.http_load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("method", nargs="?", default="GET")
    parser.add_argument("--body", metavar="FILE", help="what to send; - for what stands on standard input")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm", type=float, default=0.5, help="seconds before those that count")
    parser.add_argument("--every", type=float, default=0.0, help="seconds between a connection's requests; 0: at once")
    asked = parser.parse_args()
    body = b""
    if asked.body:
        body = sys.stdin.buffer.read() if asked.body == "-" else Path(asked.body).read_bytes()
    found = measure(asked.url, asked.method, body, asked.connections, asked.seconds, asked.warm, asked.every)
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
