"""What slow work does to `/livez` of the web process, by where it runs: the table of docs/where-should-this-run.md.

`python -m benchmarks.placement.measure [--runs 5]`: one API process, one worker, a fresh Redis; 100 requests a second
of `/livez` while one piece of work of 3 s is under way, first one that waits (`time.sleep`), then one that computes.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import uvloop

from benchmarks.http_load import Load, load
from benchmarks.systems import REPOSITORY
from offload.settings import child_environment
from offload.store.embedded.server import EmbeddedRedis

WORKS = ("wait", "compute")
PLACES = {
    "nothing": "no work at all",
    "/where/background-async": "`BackgroundTasks`, `async def` task",
    "/where/background-def": "`BackgroundTasks`, `def` task",
    "/where/to-thread": "`await asyncio.to_thread(...)`",
    "where.thread": "thread job",
    "where.process": "process job",
    "where.loop": "async job",
}
_WORK_S = 3.0
_CONNECTIONS, _EVERY_S = 20, 0.2  # 100 requests/s
_BEFORE_S = 0.8  # seconds of load before the work begins, of which the generator takes some to start


async def probe(client: httpx.AsyncClient, place: str, work: str) -> Load:
    """Load `/livez` while one piece of work is under way somewhere, and return when that is over."""
    url = str(client.base_url)
    loading = asyncio.create_task(
        load(f"{url}/livez", connections=_CONNECTIONS, every=_EVERY_S, warm=_BEFORE_S, seconds=_WORK_S)
    )
    await asyncio.sleep(_BEFORE_S)
    working = asyncio.create_task(_work(client, place, work))
    found = await loading
    await working
    return found


async def _work(client: httpx.AsyncClient, place: str, work: str) -> None:
    if place == "nothing":
        return
    if place.startswith("/"):
        await client.post(f"{place}/{work}", params={"seconds": _WORK_S})
        await asyncio.sleep(_WORK_S + 0.5)
        return
    body = {"work": work, "seconds": _WORK_S}
    job = (await client.post(f"/v1/functions/{place}/jobs", json=body)).raise_for_status().json()
    ended = (await client.get(f"/v1/jobs/{job['id']}", params={"wait": 30})).json()
    if ended["status"] != "succeeded":
        raise RuntimeError(f"the job is {ended['status']}: {ended['error']}")


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[httpx.AsyncClient]:
    """Start Redis, the API and a worker; yields a client of the API."""
    with tempfile.TemporaryDirectory(prefix="where-") as temporary, socket.create_server(("127.0.0.1", 0)) as taken:
        directory, port = Path(temporary), taken.getsockname()[1]
        taken.close()
        server = await asyncio.to_thread(EmbeddedRedis.start, directory, durable=False)
        settings = {
            "redis_url": server.url, "jobs": ["benchmarks.placement.place_jobs"], "log_level": "WARNING",
            "data_dir": directory / "data",
        }  # fmt: skip
        environment = {**child_environment(settings), "PYTHONPATH": str(REPOSITORY)}
        web = ["uvicorn", "--factory", "benchmarks.placement.app:create", "--port", str(port), "--no-access-log"]
        commands = [[*web, "--log-level", "warning"], ["offload", "worker"]]
        started = [_start(command, environment, directory) for command in commands]
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                await _until_there(client)
                yield client
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(20)
            await asyncio.to_thread(server.stop)


def _start(command: list[str], environment: dict[str, str], directory: Path) -> subprocess.Popen[bytes]:
    with (directory / "log").open("ab") as log:
        whole = [sys.executable, "-m", *command]
        return subprocess.Popen(whole, env=environment, cwd=directory, stdout=log, stderr=log)


async def _until_there(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/v1/workers")).json().get("items"):
                    return
            await asyncio.sleep(0.05)


async def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.placement.measure", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="interleaved runs (5)")
    runs = parser.parse_args().runs
    found: dict[tuple[str, str], list[float]] = {}
    async with served() as client:
        for place in PLACES:  # threads and child processes start when they are first needed
            await asyncio.gather(*(client.post(f"/v1/functions/{place}/jobs", json={"work": "wait", "seconds": 0})
                                   for _ in range(2) if place.startswith("where.")))  # fmt: skip
        for run in range(runs):
            for place, about in PLACES.items():
                for work in WORKS:
                    print(f"run {run + 1} of {runs}: {about}, {work}", file=sys.stderr)
                    found.setdefault((place, work), []).append((await probe(client, place, work)).p99)
    print(f"{runs} runs in turns, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| where it runs | waits 3 s: p99 (worst run) | computes 3 s: p99 (worst run) |\n|---|---|---|")
    for place, about in PLACES.items():
        cells = (f"{statistics.median(found[place, w]):,.0f} ms ({max(found[place, w]):,.0f})" for w in WORKS)
        print(f"| {about} | {' | '.join(cells)} |")


if __name__ == "__main__":
    uvloop.run(main())
