"""A Redis whose packets are dropped: the first call finds out, the others are refused at once."""

import asyncio
import time

import pytest

from integration.api.support import calling, is_problem, settings_for
from offload.api import state
from offload.api.breaker import Breaker
from offload.domain.errors import Unavailable
from support.proxy import Proxy

ADD = "/v1/functions/numbers.add/jobs"
ARGS = {"a": 1, "b": 2}


@pytest.fixture
async def proxy(redis_client, redis_server):
    """A way to the test's Redis that can be blocked."""
    async with Proxy(str(redis_server.socket_path)).running() as made:
        yield made


@pytest.fixture
async def far(proxy, catalogue, tmp_path, monkeypatch):
    """The application, which reaches Redis through the proxy."""
    monkeypatch.setattr(state, "ANSWER_S", 0.3)
    async with calling(settings_for(proxy.url, tmp_path), catalogue) as client:
        yield client


async def until(told):
    """Return when it is so; fails the test when it does not come."""
    async with asyncio.timeout(5):
        while not told():  # noqa: ASYNC110 - the state of an object that tells nobody
            await asyncio.sleep(0.01)


async def test_calls_are_refused_at_once_while_redis_is_known_to_hang(far, proxy):
    """One call finds no answer; once that is certain a hundred calls of all kinds take no time at all."""
    before = await far.post(ADD, json=ARGS)
    breaker = far.app.state.offload.breaker
    proxy.block()
    first = await far.get("/v1/jobs")
    await until(lambda: breaker.is_open)
    began = time.monotonic()
    others = [await far.post(ADD, json=ARGS) for _ in range(50)]
    others += [await far.get(path) for path in ("/v1/jobs", "/v1/jobs/a", "/v1/events", "/v1/queues", "/readyz") * 10]
    took = time.monotonic() - began
    alive = await far.get("/livez")

    assert before.status_code == 202
    assert is_problem(first, 503, "redis-unavailable")
    assert all(is_problem(response, 503, "redis-unavailable") for response in others)
    assert took < 1
    assert alive.status_code == 200


async def test_service_resumes_by_itself_when_packets_pass_again(far, proxy):
    """Nobody has to call for it: the breaker asks, and every call is served again."""
    breaker = far.app.state.offload.breaker
    proxy.block()
    await far.get("/v1/jobs")
    await until(lambda: breaker.is_open)
    proxy.unblock()
    await until(lambda: not breaker.is_open)
    answers = [await far.get("/v1/jobs"), await far.post(ADD, json=ARGS), await far.get("/readyz")]

    assert [response.status_code for response in answers] == [200, 202, 200]


@pytest.mark.serial
async def test_one_slow_call_does_not_cut_off_the_others(far, monkeypatch):
    """Where a call took too long and Redis answers all the same, nobody else is refused."""
    inspector = far.app.state.offload.inspector

    async def slow(*_):
        await asyncio.sleep(60)

    monkeypatch.setattr(inspector, "workers", slow)
    answers = []

    async def others():
        while len(answers) < 1 or not slow_call.done():
            answers.append((await far.get("/v1/jobs")).status_code)

    slow_call = asyncio.create_task(far.get("/v1/workers"))
    await others()

    assert is_problem(slow_call.result(), 503, "redis-unavailable")
    assert set(answers) == {200}


async def test_one_question_at_a_time():
    """However many calls suspect that Redis is away, it is asked once at a time, and by nobody who waits for a call."""
    asking, asked, answer = 0, [], asyncio.Event()

    async def ask():
        nonlocal asking
        asking += 1
        asked.append(asking)
        try:
            if len(asked) < 3:
                raise Unavailable("no answer")
            await answer.wait()
        finally:
            asking -= 1

    async with Breaker(ask) as breaker:
        for _ in range(100):
            breaker.suspect()
        await until(lambda: len(asked) == 3)
        while_open = breaker.is_open
        answer.set()
        await until(lambda: not breaker.is_open)
        breaker.check()

    assert asked == [1, 1, 1]
    assert while_open


async def test_a_stopping_service_asks_no_more():
    """The breaker's question ends with it."""
    never = asyncio.Event()
    async with Breaker(never.wait) as breaker:
        breaker.suspect()
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task.get_name() == "offload-breaker"]

    assert left == []
