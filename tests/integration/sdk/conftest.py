"""A real API on a real Redis, behind real sockets, called by both clients of the SDK."""

import asyncio
import contextlib
import queue
import threading

import pytest

from integration.api.support import StandInWorker, functions_of_the_tests, serving, settings_for
from offload.app import create_app
from offload.sdk import Offload, OffloadSync

_STREAMS = {"events", "list", "feed", "audit", "stalls", "stall_groups"}


class Threaded:
    """`OffloadSync`, called as `Offload` is: each call blocks a thread instead of the test."""

    def __init__(self, *args, **options):
        self._offload = OffloadSync(*args, **options)

    def __getattr__(self, name):
        method = getattr(self._offload, name)

        async def call(*args, **options):
            return await asyncio.to_thread(method, *args, **options)

        async def stream(*args, **options):
            items = method(*args, **options)
            try:
                while (item := await asyncio.to_thread(next, items, None)) is not None:
                    yield item
            finally:
                with contextlib.suppress(ValueError):  # left while its thread still waits for an item
                    await asyncio.to_thread(items.close)

        return stream if name in _STREAMS else call


@pytest.fixture(scope="session")
def catalogue():
    """The job functions of the API's tests."""
    return functions_of_the_tests()


@pytest.fixture
def settings(redis_server, tmp_path):
    """Settings of an API that a test runs by itself."""
    return settings_for(redis_server.url, tmp_path)


@pytest.fixture(scope="session")
def service(redis_server, tmp_path_factory, catalogue):
    """An API that outlives tests, on a thread of its own; every test finds its Redis empty."""
    settings = settings_for(redis_server.url, tmp_path_factory.mktemp("api"))
    there, over = queue.SimpleQueue(), threading.Event()

    async def serve():
        async with serving(create_app(settings, catalogue)) as address:
            there.put(address)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    yield there.get(timeout=20)
    over.set()
    thread.join(20)


@pytest.fixture
def address(redis, service):
    """Where the API listens, on an empty Redis."""
    return service


@pytest.fixture(params=["async", "sync"])
async def calling(request):
    """Make a client of either kind: `calling(address, api_key, retries=0)`."""
    async with contextlib.AsyncExitStack() as stack:

        def made(*args, **options):
            client = (Offload if request.param == "async" else Threaded)(*args, **options)
            stack.push_async_callback(client.close)
            return client

        yield made


@pytest.fixture
def offload(calling, address):
    """A client of the API."""
    return calling(address)


@pytest.fixture
def worker(redis):
    """The stand-in for a worker."""
    return StandInWorker(redis)
