"""One real Redis a process that runs tests, empty for each test, and a check after each that no key was leaked."""

import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import structlog
from blockbuster import BlockBuster, blockbuster_ctx
from xdist.scheduler import LoadScopeScheduling

from offload.store import keys
from offload.store.connection.connection import client, settings_of
from offload.store.embedded.server import EmbeddedRedis
from support.engine import Bench, bench_on

OURS = [
    f"offload.{room}"
    for room in ("app", "wiring", "api", "client", "inspector", "operations", "store", "worker", "loopwatch", "domain")
]
MAY_BLOCK = {
    "offload/app.py": {"create_app"},  # before it serves: settings, job modules, package metadata
    "offload/wiring.py": {"artifact_files"},  # where we are, as the CLI and the API start
    "offload/domain/schedules.py": {"__post_init__"},  # one small file for each time zone, read once
    "offload/store/jobs/artifacts.py": {"write"},  # for threads, and for tests that prepare a file
    "offload/store/embedded/server.py": {"find_server"},  # before a loop runs, and for tests that start a server
    # A few bytes each, for a thread or a process that always reads, or about a process whose state is known.
    "offload/worker/executors/processes.py": {"ask_to_stop", "kill"},
    "concurrent/futures/process.py": {"wakeup"},
    "multiprocessing/resource_tracker.py": {"unregister"},
}
APART = ("tests/e2e/engine/", "tests/e2e/test_up.py")
"""Tests that take long and share nothing with their neighbours: each may run in another process."""


def pytest_configure() -> None:
    """Let children of the tests hear Ctrl-C: a run in a shell's background ignores it, and they would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto` run twice as many processes as there are processors: a test waits for half of its time."""
    return 2 * min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


class Scheduling(LoadScopeScheduling):
    """Gives each process of a parallel run one file after another, so that the fixtures of a module are made once."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(APART) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Hand files out in the order of `testpaths`."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def blocking(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    """Nothing of ours blocks an event loop: a call that would raises where it stands.

    Only calls that come out of our own code count; a test that blocks on purpose says `blocking.deactivate()`.
    """
    if "e2e" in request.path.parts:
        yield None
        return
    with blockbuster_ctx(OURS) as made:
        for function in made.functions.values():
            for path, names in MAY_BLOCK.items():
                function.can_block_in(path, names)
        yield made


_PERMANENT = re.compile("|".join(f"^{re.escape(name)}" for name in keys.PERMANENT))
_UNFINISHED = ("deferred", "queued", "running", "retrying")


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """Let no test log by the configuration of another."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A real server that only this process knows."""
    with EmbeddedRedis.start(tmp_path_factory.mktemp("redis"), durable=False) as server:
        yield server


@pytest.fixture
async def redis(redis_server: EmbeddedRedis) -> AsyncIterator[Any]:
    """A connection to an empty database; after the test every key has a TTL or is on the list of permanent ones."""
    connection = client(settings_of(redis_server.url))
    await connection.flushall()
    yield connection
    leaked = await leaked_keys(connection)
    await connection.aclose()
    assert not leaked, f"keys without a TTL that nobody will remove: {leaked}"


async def leaked_keys(connection: Any) -> list[str]:
    """Return keys that live for ever and are not on the short list, or belong to a job that has ended."""
    leaked = []
    found = [raw async for raw in connection.scan_iter(count=1000)]
    pipe = connection.pipeline(transaction=False)
    for raw in found:
        pipe.ttl(raw)
    for raw, ttl in zip(found, await pipe.execute(), strict=True):
        key = raw.decode()
        if ttl != -1:
            continue
        if not _PERMANENT.match(key):
            leaked.append(key)
        elif key.startswith((keys.RECORD, keys.ARQ_JOB, keys.ARQ_RETRY)):
            job_id = key.removeprefix(keys.RECORD).removeprefix(keys.ARQ_JOB).removeprefix(keys.ARQ_RETRY)
            status = await connection.hget(keys.RECORD + job_id, "status")
            if status is not None and status.decode() not in _UNFINISHED:
                leaked.append(key)
        elif key.startswith(keys.UNIQUE):
            status = await connection.hget(keys.RECORD + (await connection.get(key)).decode(), "status")
            if status is None or status.decode() not in _UNFINISHED:
                leaked.append(key)
    return leaked


@pytest.fixture
def bench(redis: Any, redis_server: EmbeddedRedis, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Bench]]:
    """Make a bench for job functions: `async with bench(f, g) as b, b.worker(): await b.run("x.f")`."""

    def made(*functions: Any, catalogue: Any = None) -> AbstractAsyncContextManager[Bench]:
        return bench_on(redis_server.url, tmp_path / "artifacts", catalogue or functions)

    return made
