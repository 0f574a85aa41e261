"""`--json` prints the documents that the HTTP API answers with."""

import asyncio

import httpx
import pytest

from offload.app import create_app
from offload.domain.clock import now_ms
from offload.settings import Settings
from offload.store.connection.blocking import connect, portable
from offload.store.connection.connection import settings_of
from offload.store.fleet import workers
from offload.store.fleet.stalls import StallWriter
from support.stalls import stall


@pytest.fixture
async def service(on_redis, work, redis, redis_server):
    """A Redis with one job that ran and one that waits, a worker and a stall; the id of the job that waits."""

    def fill():
        on_redis("enqueue", "demo.flaky", "fail_times=0", "--tag", "x")
        work()
        on_redis("functions", "digest.pbkdf2", "--runs-in", "process")
        on_redis("schedules", "pause", "report.daily")
        on_redis("queues", "pause", "mail")
        writer = StallWriter(lambda: connect(portable(settings_of(redis_server.url))), "w1")
        writer.keep(stall(held_ms=3020))
        writer.close()
        return on_redis("enqueue", "digest.pbkdf2", "password=12345", "salt=x", "--delay", "3600").out.strip()

    job_id = await asyncio.to_thread(fill)
    started = now_ms()
    await workers.heartbeat(redis, "w1", {"id": "w1", "slots": 7, "started": started, "beat": started}, now_ms())
    return job_id


@pytest.fixture
async def http(redis_server, tmp_path):
    """The HTTP API on that Redis."""
    app = create_app(Settings(redis_url=redis_server.url, data_dir=tmp_path, stall_ms=10_000))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
    async with app.router.lifespan_context(app), client:
        yield client


COMMANDS = {
    "workers": "/v1/workers",
    "queues list": "/v1/queues",
    "functions": "/v1/functions",
    "functions digest.pbkdf2": "/v1/functions/digest.pbkdf2",
    "functions digest.pbkdf2 --runs-in process": "/v1/functions/digest.pbkdf2",
    "schedules list": "/v1/schedules",
    "schedules pause report.daily": "/v1/schedules/report.daily",
    "queues pause mail": "/v1/queues/mail",
    "jobs list --limit 1": "/v1/jobs?limit=1",
    "jobs list --tag x --status succeeded": "/v1/jobs?tag=x&status=succeeded",
    "jobs show {id}": "/v1/jobs/{id}",
    "jobs explain {id}": "/v1/jobs/{id}/explain",
    "stalls": "/v1/stalls",
    "stalls --groups": "/v1/stalls/groups",
}


async def test_a_command_prints_what_the_api_answers(on_redis, service, http):
    """The same members with the same values: a script may change from one to the other."""
    for command, path in COMMANDS.items():
        printed = await asyncio.to_thread(on_redis, *command.format(id=service).split(), "--json")
        answer = await http.get(path.format(id=service))

        assert answer.status_code == 200, command
        assert printed.json == answer.json(), command


async def test_commands_that_change_jobs_print_their_documents(on_redis, service, http):
    """As the API answers each of them, in a list, since there may be several."""
    aborted = await asyncio.to_thread(on_redis, "jobs", "abort", service, "--json")
    shown_aborted = (await http.get(f"/v1/jobs/{service}")).json()
    retried = await asyncio.to_thread(on_redis, "jobs", "retry", service, "--json")
    shown_retried = (await http.get(f"/v1/jobs/{service}")).json()

    assert aborted.json == {"items": [shown_aborted], "next": None}
    assert retried.json == {"items": [shown_retried], "next": None}
