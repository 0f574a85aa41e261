"""Over HTTP: enqueues, batches, reads, the liveness probe; each server a process of its own, loaded by one generator.

The peers: an `empty` FastAPI application that checks the same typed body and answers, and one that puts the job into
stock arq's queue (`benchmarks.peers`).
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import orjson

from benchmarks.http_load import Load, load
from benchmarks.payload import BODY
from benchmarks.peers import PATH
from benchmarks.plan import Plan
from benchmarks.systems import REPOSITORY
from offload.settings import child_environment
from offload.store.embedded.server import EmbeddedRedis

_PATIENCE_S = 30.0
_PROBES = 4  # connections of the liveness probe,
_PROBE_EVERY_S = 0.02  # each asks so often
_LOADERS, _LOADER_EVERY_S = 32, 0.064  # 500 enqueues a second: a sixth of what one API process takes


async def http(plan: Plan, side: str) -> dict[str, float]:
    """Load one server with single enqueues and, where it has them, batches and reads."""
    async with served(side) as url:
        single = await load(url + PATH, "POST", BODY, seconds=plan.http)
        found = {"rate": single.rate, "p99": single.p99, "errors": float(single.errors)}
        if side == "arq":
            return found
        async with httpx.AsyncClient(base_url=url, headers={"Content-Type": "application/json"}) as client:
            stored = [await client.post(PATH, content=BODY) for _ in range(32)]
        read = await load([f"{url}/v1/jobs/{one.json()['id']}" for one in stored], seconds=plan.http)
        found |= {"get": read.rate, "errors": found["errors"] + read.errors}
        if side == "empty":
            return found
        batch = await load(url + "/v1/jobs", "POST", _batch(plan.batch), connections=4, seconds=plan.http)
        per_second = batch.rate * plan.batch
        return {
            **found,
            "errors": found["errors"] + batch.errors,
            "batch": per_second,
            "batch_to_single": per_second / single.rate,
        }


async def livez(plan: Plan, side: str) -> dict[str, float]:
    """Ask whether the API is alive while nothing is done, and while CPU-bound jobs run and many are put in."""
    async with served(side, works=True) as url:
        await _until_it_answers(url + "/v1/workers", b'"queues"')
        idle = await _probe(url, plan.http)
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            jobs = [{"function": "workload.burn", "args": {"seconds": 1.0}}] * round(4 * plan.http + 8)
            await client.post("/v1/jobs", json={"jobs": jobs})
        about = {"connections": _LOADERS, "every": _LOADER_EVERY_S}
        loading = asyncio.create_task(load(url + PATH, "POST", BODY, seconds=plan.http + 1, **about))
        await asyncio.sleep(0.8)
        busy = await _probe(url, plan.http)
        enqueued = await loading
        return {
            "idle": idle.p99,
            "busy": busy.p99,
            "busy_to_idle": busy.p99 / idle.p99,
            "enqueues": enqueued.rate,
            "errors": float(idle.errors + busy.errors + enqueued.errors),
        }


async def _probe(url: str, seconds: float) -> Load:
    return await load(url + "/livez", connections=_PROBES, seconds=seconds, every=_PROBE_EVERY_S)


def _batch(count: int) -> bytes:
    args = orjson.loads(BODY)
    return orjson.dumps({"jobs": [{"function": "workload.post", "args": args}] * count})


@contextlib.asynccontextmanager
async def served(
    side: str, *, works: bool = False, prepare: Callable[[str], Awaitable[None]] | None = None
) -> AsyncIterator[str]:
    """Start a server of one side on a fresh Redis, and a worker beside ours if asked; yields its address.

    `prepare` is called with the address of Redis before anything else is started.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        directory, port = Path(temporary), _free_port()
        url, log = f"http://127.0.0.1:{port}", directory / "server.log"
        server = await asyncio.to_thread(EmbeddedRedis.start, directory, durable=False)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(server.stop)
            if prepare is not None:
                await prepare(server.url)
            settings = {
                "redis_url": server.url,
                "jobs": ["benchmarks.workload"],
                "log_level": "WARNING",
                "data_dir": directory / "data",
                "host": "127.0.0.1",
                "port": port,
            }
            commands = [["offload", "api"]] if side == "offload" else [
                ["benchmarks.peers", side, "--port", str(port), "--socket", server.url.removeprefix("unix://")]
            ]  # fmt: skip
            if works:
                commands.append(["offload", "worker"])
            environment = {**child_environment(settings), "PYTHONPATH": str(REPOSITORY)}
            for command in commands:
                stack.callback(_end, _start(command, environment, directory, log))
            try:
                await _until_it_answers(url + ("/readyz" if side == "offload" else "/openapi.json"))
                yield url
            except Exception as error:
                error.add_note(f"the processes of {side} said:\n{log.read_text(errors='replace')[-3000:]}")
                raise


def _start(command: list[str], environment: dict[str, str], directory: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, cwd=directory, stdout=said, stderr=said
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


async def _until_it_answers(url: str, with_what: bytes = b"") -> None:
    async with asyncio.timeout(_PATIENCE_S), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.get(url)
                if answer.is_success and with_what in answer.content:
                    return
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
