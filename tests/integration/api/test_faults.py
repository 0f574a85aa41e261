"""When something is wrong that is not the caller's: Redis away, a fault of our own."""

import asyncio
import signal
import subprocess
import time

import pytest
from structlog.testing import capture_logs

from integration.api.support import calling, is_problem, settings_for
from offload.api import state
from offload.store.embedded.server import find_server

ADD = "/v1/functions/numbers.add/jobs"
CALLS = [
    ("POST", ADD, {"a": 1, "b": 2}),
    ("GET", "/v1/functions", None),
    ("GET", "/v1/functions/numbers.add", None),
    ("GET", "/v1/jobs", None),
    ("GET", "/v1/jobs/some", None),
    ("GET", "/v1/jobs/some?wait=20", None),
    ("GET", "/v1/jobs/some/result", None),
    ("GET", "/v1/jobs/some/events", None),
    ("POST", "/v1/jobs/some/abort", None),
    ("POST", "/v1/jobs/some/retry", None),
    ("GET", "/v1/artifacts/00", None),
    ("GET", "/v1/queues", None),
    ("GET", "/v1/workers", None),
    ("GET", "/v1/stats", None),
    ("GET", "/readyz", None),
]


class MortalRedis:
    """A Redis at one address that can be killed and started again."""

    def __init__(self, directory):
        self.socket = directory / "s"
        self.url = f"unix://{self.socket}"
        self.process = None

    def start(self):
        """Start it and return once it answers."""
        options = {"port": "0", "unixsocket": str(self.socket), "save": "", "dir": str(self.socket.parent)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen([find_server(), *words], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "eady to accept connections" in line:
                return

    def kill(self):
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def mortal_redis(tmp_path_factory):
    """A Redis of its own for tests that kill it."""
    server = MortalRedis(tmp_path_factory.mktemp("r"))
    server.start()
    yield server
    if server.process.poll() is None:
        server.kill()


@pytest.fixture
async def shaken(mortal_redis, catalogue, tmp_path):
    """The application on a Redis that can be killed."""
    async with calling(settings_for(mortal_redis.url, tmp_path), catalogue) as client:
        yield client


async def test_every_call_answers_503_at_once_while_redis_is_away(shaken, mortal_redis):
    """Without Redis each call is a 503 problem with Retry-After, within a second, and none hangs."""
    before = await shaken.post(ADD, json={"a": 1, "b": 2})
    mortal_redis.kill()
    started = time.monotonic()
    responses = [await shaken.request(method, path, json=body) for method, path, body in CALLS]
    took = time.monotonic() - started

    assert before.status_code == 202
    assert all(is_problem(response, 503, "redis-unavailable") for response in responses)
    assert all(response.headers["retry-after"].isdigit() for response in responses)
    assert took < 1


async def test_no_call_hangs_with_redis(shaken, mortal_redis, monkeypatch):
    """A Redis that takes calls and does not answer them is away, too: each call is a 503 after a moment."""
    monkeypatch.setattr(state, "ANSWER_S", 0.2)
    await shaken.get("/readyz")
    mortal_redis.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(shaken.request(method, path, json=body)) for method, path, body in CALLS]
    took = time.monotonic() - started
    mortal_redis.process.send_signal(signal.SIGCONT)
    again = await shaken.get("/v1/jobs")

    assert all(is_problem(call.result(), 503, "redis-unavailable") for call in calls)
    assert took < 2
    assert again.status_code == 200


async def test_the_address_of_redis_is_not_told(shaken, mortal_redis):
    """A 503 says nothing of where Redis is; the log does, once."""
    mortal_redis.kill()
    with capture_logs() as logged:
        response = await shaken.get("/v1/jobs")

    assert "unix" not in response.text
    assert str(mortal_redis.socket.parent) not in response.text
    assert [line["log_level"] for line in logged if line["event"] == "redis_unavailable"] == ["warning"]


async def test_livez_does_not_need_redis(shaken, mortal_redis):
    """The process is alive whether Redis is there or not."""
    mortal_redis.kill()
    response = await shaken.get("/livez")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_service_resumes_when_redis_is_back(shaken, mortal_redis):
    """Nobody has to restart the API: when Redis answers again, so does every call."""
    mortal_redis.kill()
    away = await shaken.get("/readyz")
    mortal_redis.start()
    ready = await shaken.get("/readyz")
    enqueued = await shaken.post(ADD, json={"a": 1, "b": 2})
    waited = await shaken.get(enqueued.json()["links"]["self"], params={"wait": 0.01})

    assert away.status_code == 503
    assert ready.status_code == 200
    assert (enqueued.status_code, waited.status_code) == (202, 200)


async def test_the_api_starts_without_redis(catalogue, tmp_path):
    """An API whose Redis is not there yet starts, lives, and is not ready."""
    async with calling(settings_for(f"unix://{tmp_path}/nobody", tmp_path), catalogue) as api:
        alive, ready = await api.get("/livez"), await api.get("/readyz")

    assert alive.status_code == 200
    assert is_problem(ready, 503, "redis-unavailable")


async def test_a_fault_of_ours_is_500_and_tells_nothing(api, monkeypatch):
    """What nobody foresaw is a 500 problem without internals; the log has it, with the request's id."""

    async def broken(*_):
        raise RuntimeError("secret internals")

    monkeypatch.setattr(api.app.state.offload.inspector._records, "list_jobs", broken)
    with capture_logs() as logged:
        response = await api.get("/v1/jobs", headers={"X-Request-ID": "abc"})

    assert is_problem(response, 500, "internal-error")
    assert "secret internals" not in response.text
    assert response.json()["request_id"] == "abc"
    assert any(
        line["event"] == "request_failed" and line["log_level"] == "error" and line["exc_info"] for line in logged
    )


async def test_a_job_that_no_replica_confirms_is_a_503_that_says_it_is_stored(
    redis_client, redis_server, catalogue, tmp_path
):
    """Its id is in the problem, under a type of its own, so that nobody takes it for a job that was not accepted."""
    settings = settings_for(redis_server.url, tmp_path, enqueue_replicas=1, enqueue_confirm_seconds=0.05)
    async with calling(settings, catalogue) as api:
        response = await api.post(ADD, json={"a": 1, "b": 2})
        [item] = (await api.get("/v1/jobs")).json()["items"]

    assert is_problem(response, 503, "enqueue-unconfirmed")
    assert response.headers["retry-after"].isdigit()
    assert f"job {item['id']} is stored and may run, but 0 of 1 replicas" in response.json()["detail"]


async def test_a_redis_that_can_confirm_no_disk_is_named_in_the_log(redis_client, redis_server, catalogue, tmp_path):
    """Nothing is stored; the caller gets a 503, and the log says which setting asks for what."""
    async with calling(settings_for(redis_server.url, tmp_path, enqueue_fsync="local"), catalogue) as api:
        with capture_logs() as logged:
            response = await api.post(ADD, json={"a": 1, "b": 2})
        listed = (await api.get("/v1/jobs")).json()["items"]
    [away] = [line["error"] for line in logged if line["event"] == "redis_unavailable"]

    assert is_problem(response, 503, "redis-unavailable")
    assert "OFFLOAD_ENQUEUE_FSYNC needs Redis 7.2" in away
    assert listed == []
