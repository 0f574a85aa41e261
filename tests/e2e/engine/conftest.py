"""Workers as real processes on the job functions of `app.py`; nothing of them may be left after a test."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from offload.loader import load
from offload.store.embedded.server import EmbeddedRedis
from support.engine import Bench, WorkerProcess, arq_worker, bench_on, offload_worker

Spawn = Callable[..., WorkerProcess]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a module of job functions."""
    shutil.copy(Path(__file__).parent / "app.py", tmp_path / "e2e_app.py")
    return tmp_path


@pytest.fixture
async def b(redis: Any, redis_server: EmbeddedRedis, project: Path, monkeypatch: Any) -> AsyncIterator[Bench]:
    """A client and an inspector that know the project's job functions."""
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.delitem(__import__("sys").modules, "e2e_app", raising=False)
    async with bench_on(redis_server.url, project / "artifacts", load(["e2e_app"])) as bench:
        yield bench


@pytest.fixture
async def started() -> AsyncIterator[list[WorkerProcess]]:
    """Every process that the test started; each is ended after it, and must have left nothing behind."""
    processes: list[WorkerProcess] = []
    yield processes
    async with contextlib.AsyncExitStack() as stack:
        for one in processes:
            stack.push_async_callback(one.left_nothing)
            stack.callback(one.close)


@pytest.fixture
def offload(started: list[WorkerProcess], redis_server: EmbeddedRedis, project: Path) -> Spawn:
    """Start `offload worker`; settings by name."""

    def start(*arguments: str, jobs: str = "e2e_app", **settings: Any) -> WorkerProcess:
        started.append(offload_worker(redis_server.url, project, [jobs], *arguments, **settings))
        return started[-1]

    return start


@pytest.fixture
def arq(started: list[WorkerProcess], redis_server: EmbeddedRedis, project: Path) -> Spawn:
    """Start the arq CLI on a WorkerSettings; settings by name."""

    def start(*arguments: str, of: str = "jobs.WorkerSettings", **settings: Any) -> WorkerProcess:
        started.append(arq_worker(redis_server.url, project, of, *arguments, **{"jobs": ["e2e_app"], **settings}))
        return started[-1]

    return start
