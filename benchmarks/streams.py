"""What open event streams cost those who enqueue: `python -m benchmarks.streams [--streams 1000] [--rate 100]`.

One API process; jobs are put in one by one at a steady rate by one client, while so many streams are open: none, that
many of all jobs (each hears of every job), and as many of jobs of their own, which are quiet. Times are of the `POST`
alone, in ms. The listeners are a process of their own.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.quantiles import quantile
from offload.settings import child_environment
from offload.store.embedded.server import EmbeddedRedis

_PATH = "/v1/functions/workload.noop/jobs"


async def _listen(address: str, paths: list[str]) -> None:
    """Open a stream for each path, say `open`, and at the end of the input how many events came."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    heard, late_ms = 0, 0.0

    async def stream(path: str, is_open: asyncio.Semaphore) -> None:
        nonlocal heard, late_ms
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        is_open.release()
        while data := await reader.read(65536):
            heard += data.count(b"event: queued")

    opened = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(stream(path, opened)) for path in paths]
    for _ in paths:
        await opened.acquire()
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(2.5)  # the longest rest between two rounds, and the round
    print(heard, flush=True)
    for task in tasks:
        task.cancel()


class _Caller:
    """One connection that calls one by one."""

    async def open(self, address: str) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(urlsplit(address).hostname, urlsplit(address).port)

    async def post(self, path: str) -> tuple[float, bytes]:
        """Put one job in; return the ms it took, and the document."""
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        began = time.perf_counter()
        self._writer.write(head.encode() + b"{}")
        answer = await self._reader.readuntil(b"\r\n\r\n")
        size = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(size)
        took = (time.perf_counter() - began) * 1000
        if not answer.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(answer.decode() + body.decode())
        return took, body

    async def steadily(self, rate: float, seconds: float) -> list[float]:
        """Put jobs in at a rate; return what each took, in ms."""
        times, next_at, ends = [], time.monotonic(), time.monotonic() + seconds
        while next_at < ends:
            await asyncio.sleep(max(0, next_at - time.monotonic()))
            times.append((await self.post(_PATH))[0])
            next_at += 1 / rate
        return times


async def _measure(address: str, pid: int, streams: int, rate: float, seconds: float) -> None:
    caller = _Caller()
    await caller.open(address)
    await caller.steadily(rate, 1)
    print(f"{'streams':>24}  {'p50 ms':>7} {'p99 ms':>7} {'max ms':>7}  {'fds':>5}  {'RSS MiB':>7}  {'CPU':>5}  heard")
    ids = [json.loads((await caller.post(_PATH))[1])["id"] for _ in range(streams)]
    kinds = {
        "none": [],
        f"{streams} of one job each": [f"/v1/jobs/{job_id}/events" for job_id in ids],
        f"{streams} of all jobs": ["/v1/events"] * streams,
    }
    for kind, paths in kinds.items():
        command = [sys.executable, "-m", "benchmarks.streams", "--listen", address]
        listeners = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        assert listeners.stdin is not None
        assert listeners.stdout is not None
        listeners.stdin.write(json.dumps(paths) + "\n")
        listeners.stdin.flush()
        await asyncio.to_thread(listeners.stdout.readline)
        await caller.open(address)  # one that was idle for long is closed
        cpu = _cpu(pid)
        times = sorted(await caller.steadily(rate, seconds))
        busy = (_cpu(pid) - cpu) / seconds
        files, memory = _files(pid), _memory(pid)
        listeners.stdin.write("\n")
        listeners.stdin.flush()
        heard = int(await asyncio.to_thread(listeners.stdout.readline))
        await asyncio.to_thread(listeners.wait)
        all_of_them = len(times) * len(paths) if "all" in kind else 0
        print(
            f"{kind:>24}  {quantile(times, 0.5):7.2f} {quantile(times, 0.99):7.2f} {times[-1]:7.2f}  {files:5}  "
            f"{memory:7.1f}  {busy:5.0%}  {heard:,} of {all_of_them:,}"
        )


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1_048_576


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=100, help="jobs per second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.listen:
        asyncio.run(_listen(told.listen, json.loads(sys.stdin.readline())))
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        directory = Path(temporary)
        with EmbeddedRedis.start(directory, durable=False) as redis:
            changes = {
                "redis_url": redis.url,
                "jobs": ["benchmarks.workload"],
                "data_dir": directory,
                "log_format": "json",
                "log_level": "INFO",
            }
            api = subprocess.Popen(
                [sys.executable, "-m", "offload", "api", "--port", "0"],
                env=child_environment(changes), stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert api.stderr is not None
            try:
                address = next(line for line in map(json.loads, api.stderr) if line["event"] == "api_listening")["url"]
                sink = subprocess.Popen(["cat"], stdin=api.stderr, stdout=subprocess.DEVNULL)
                asyncio.run(_measure(address, api.pid, told.streams, told.rate, told.seconds))
            finally:
                api.terminate()
                api.wait()
                sink.wait()


if __name__ == "__main__":
    main()
