"""Connecting a backend: what it may and may not do to Redis."""

import asyncio

import pytest

from offload import JobContext, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.queues import Queue
from offload.settings import Settings
from offload.store.fleet import queues
from offload.wiring import connect
from support.engine import bench_on
from support.keyspace import keyspace


@job(name="wired.echo", queue="wired")
async def echo(ctx: JobContext) -> None:
    """Do nothing."""


@pytest.fixture
def older() -> Catalogue:
    """A catalogue with limits other than those of the fleet."""
    functions = of_functions([echo])
    return Catalogue(functions, {"wired": Queue("wired", max_running=9), "new": Queue("new", rate="1/m")})


async def test_connecting_writes_nothing(redis, redis_server, older, tmp_path):
    """A backend with other limits in its code leaves Redis byte for byte as it was, whatever it reads."""
    await queues.declare(redis, [Queue("wired", max_running=2)])
    before = await asyncio.to_thread(keyspace, redis_server.url)
    async with connect(Settings(redis_url=redis_server.url, data_dir=tmp_path), older) as backend:
        shown = {state.name: state for state in await backend.inspector.queues()}
        await backend.inspector.vitals()
        await backend.inspector.stats()

    assert await asyncio.to_thread(keyspace, redis_server.url) == before
    assert shown["wired"].max_running == 2


async def test_a_worker_declares_the_limits_of_its_code(redis, redis_server, older, tmp_path):
    """A worker that starts writes the limits that its own catalogue has, also over those of another."""
    await queues.declare(redis, [Queue("wired", max_running=2)])
    async with bench_on(redis_server.url, tmp_path, older) as b, b.worker():
        shown = {state.name: state for state in await b.inspector.queues()}

    assert shown["wired"].max_running == 9
    assert shown["new"].rate == "1/60s"
