"""A real Redis, the application on it, and a stand-in for a worker that ends jobs step by step."""

import httpx
import pytest

from integration.api.support import StandInWorker, calling, functions_of_the_tests, serving, settings_for
from offload.app import create_app


@pytest.fixture(scope="session")
def catalogue():
    """The job functions of these tests."""
    return functions_of_the_tests()


@pytest.fixture
def redis_client(redis):
    """A connection to the empty Redis, for what only a worker would say."""
    return redis


@pytest.fixture
def settings(redis_server, tmp_path):
    """Settings of an API on the test's Redis."""
    return settings_for(redis_server.url, tmp_path)


@pytest.fixture
async def api(redis_client, settings, catalogue):
    """The application, called in this process."""
    async with calling(settings, catalogue) as client:
        yield client


@pytest.fixture
async def served(redis_client, settings, catalogue):
    """The application behind real sockets: a client of it."""
    app = create_app(settings, catalogue)
    async with serving(app) as address, httpx.AsyncClient(base_url=address, timeout=10) as client:
        client.app = app
        yield client


@pytest.fixture
def worker(redis_client):
    """The stand-in for a worker."""
    return StandInWorker(redis_client)


@pytest.fixture
def enqueue(api):
    """Put one job in over HTTP and return its document."""

    async def enqueue(function="numbers.add", args=None, **query):
        response = await api.post(
            f"/v1/functions/{function}/jobs", json={"a": 1, "b": 2} if args is None else args, params=query
        )
        assert response.status_code == 202, response.text
        return response.json()

    return enqueue
