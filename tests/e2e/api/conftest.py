"""A real API process on a Redis of its own, which tests may abuse; it must be none the worse for it."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from support.server import Server, restartable
from support.service import REDIS, ApiProcess, until


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a module of job functions."""
    directory = tmp_path_factory.mktemp("project")
    shutil.copy(Path(__file__).parent / "app.py", directory / "hostile_app.py")
    return directory


@pytest.fixture(scope="module")
def own_redis() -> Iterator[Server]:
    """A Redis that can be killed and started again."""
    with restartable() as server:
        yield server


@pytest.fixture(scope="module")
def process(project: Path, own_redis: Server) -> Iterator[ApiProcess]:
    """One API process for all tests of a module."""
    with contextlib.closing(ApiProcess.start(own_redis.url, project, ["hostile_app"], request_timeout=2)) as started:
        yield started


@pytest.fixture
async def api(process: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the process; after the test it has no open files more than before, and logged no fault."""
    address = await process.listens()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with httpx.AsyncClient(base_url=address, timeout=20, limits=limits) as client:
        await client.get("/v1/jobs")
        await client.get("/v1/jobs/nobody/events")
        before = process.files
        yield client
    await until(lambda: process.files <= before + REDIS)
    assert process.process.poll() is None
    assert process.faults == []
