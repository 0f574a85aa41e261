"""What the API does after its answer: the audit, usage counters; and what becomes of it when it fails."""

import asyncio

import pytest
from fastapi import FastAPI
from starlette.responses import Response
from structlog.testing import capture_logs

from integration.api.support import calling, is_problem, settings_for
from offload.api import background
from offload.api.background import BackgroundTask
from offload.app import create_app
from offload.domain.errors import Unavailable
from offload.store.fleet import audit


@pytest.fixture
def entries(api):
    """Return the audit, newest first."""

    async def entries(**query):
        response = await api.get("/v1/audit", params=query)
        assert response.status_code == 200, response.text
        return response.json()["items"]

    return entries


async def test_what_is_done_to_a_job_is_in_the_audit(api, enqueue, entries):
    """An abort and a retry are there with who did it, when, to which job."""
    job = await enqueue()
    await api.post(f"/v1/jobs/{job['id']}/abort")
    await api.post(f"/v1/jobs/{job['id']}/retry")
    found = await entries()

    assert [one["action"] for one in found] == ["job.retry", "job.abort"]
    assert {(one["who"], one["target"], one["count"]) for one in found} == {("anonymous", job["id"], 1)}
    assert all(one["at"].endswith("Z") for one in found)


async def test_forgetting_and_bulk_calls_are_in_the_audit(api, enqueue, entries):
    """A bulk call is one entry, with its filter and how many jobs it was about; a dry run changed nothing."""
    jobs = [await enqueue() for _ in range(3)]
    for is_dry in (True, False):
        await api.post("/v1/jobs:abort", json={"filter": {"function": "numbers.add"}, "dry_run": is_dry})
    await api.delete(f"/v1/jobs/{jobs[0]['id']}")
    await api.post("/v1/jobs:retry", json={"filter": {"status": "aborted"}})
    retried, forgotten, aborted = await entries()

    assert (aborted["action"], aborted["count"]) == ("jobs.abort", 3)
    assert aborted["detail"]["filter"] == {"function": "numbers.add"}
    assert (forgotten["action"], forgotten["target"]) == ("job.forget", jobs[0]["id"])
    assert (retried["action"], retried["count"]) == ("jobs.retry", 2)


async def test_pauses_and_resumptions_are_in_the_audit(api, entries):
    """With whether they changed anything."""
    for verb in ("pause", "pause", "resume"):
        await api.post(f"/v1/queues/mail/{verb}")
    found = await entries()

    assert [(one["action"], one["target"], one["detail"]["changed"]) for one in found] == [
        ("queue.resume", "mail", True),
        ("queue.pause", "mail", False),
        ("queue.pause", "mail", True),
    ]


async def test_a_refused_call_is_not_in_the_audit(api, entries):
    """What did not happen was not done: nothing is written for a call that failed."""
    refused = await api.post("/v1/jobs/nobody/abort")
    unknown = await api.post("/v1/queues/mial/pause")

    assert (refused.status_code, unknown.status_code) == (404, 404)
    assert await entries() == []


async def test_the_audit_names_the_key(redis_client, redis_server, catalogue, tmp_path):
    """Where keys are needed, who did it is the key's name, and never its secret."""
    settings = settings_for(redis_server.url, tmp_path, api_keys=["very-secret"])
    async with calling(settings, catalogue) as api:
        api.headers["Authorization"] = "Bearer very-secret"
        await api.post("/v1/queues/mail/pause")
        page = await api.get("/v1/audit")
        queue = (await api.get("/v1/queues/mail")).json()
    (entry,) = page.json()["items"]

    assert entry["who"].startswith("key-")
    assert queue["paused_by"] == entry["who"]
    assert "very-secret" not in page.text


async def test_the_audit_is_paged_and_filtered(redis_client, entries, api):
    """By action and by person, newest first, each page going on where the last one ended."""
    for number in range(30):
        await audit.write(redis_client, f"p{number % 2}", f"a.{number % 3}", str(number), 1, {})
    pages, cursor = [], {}
    while cursor is not None:
        page = (await api.get("/v1/audit", params={"limit": 7, **cursor})).json()
        pages.append([int(one["target"]) for one in page["items"]])
        cursor = {"cursor": page["next"]} if page["next"] else None
    of_one = await entries(who="p1", action="a.0")

    assert [number for page in pages for number in page] == list(range(29, -1, -1))
    assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
    assert [one["target"] for one in of_one] == ["27", "21", "15", "9", "3"]


async def test_a_filter_that_fits_few_makes_a_short_page(redis_client, api):
    """A page looks at 2,000 entries at most, however rare what it looks for, and goes on at the next."""
    await audit.write(redis_client, "rare", "a.b", "oldest", 1, {})
    pipe = redis_client.pipeline(transaction=False)
    for _ in range(2100):
        pipe.xadd("offload:audit", {"e": b'{"who":"often","action":"a.b","target":"t","count":1,"detail":{}}'})
    await pipe.execute()
    first = (await api.get("/v1/audit", params={"who": "rare"})).json()
    second = (await api.get("/v1/audit", params={"who": "rare", "cursor": first["next"]})).json()

    assert first["items"] == []
    assert ([one["target"] for one in second["items"]], second["next"]) == (["oldest"], None)


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "99999999999999999999-0", "-1-1"])
async def test_what_is_no_cursor_is_refused(api, cursor):
    """As everywhere."""
    assert is_problem(await api.get("/v1/audit", params={"cursor": cursor}), 422, "invalid-parameters")


# The wrapper itself.


class Noted:
    """An application with one route more, and what happened in it, in order."""

    def __init__(self, settings, catalogue, work, status=200):
        self.happened = []
        self.app: FastAPI = create_app(settings, catalogue)

        @self.app.get("/test")
        async def route(after: BackgroundTask) -> Response:
            after.add("test", self._noting(work))
            if status == 500:
                raise RuntimeError("no")
            return Response(b"done", status)

    def _noting(self, work):
        async def noting():
            self.happened.append("work")
            await work()

        return noting

    async def call(self):
        """Call the route as a server does; note when the answer was out."""

        async def send(message):
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.happened.append("answered")

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/test",
            "raw_path": b"/test", "query_string": b"", "root_path": "", "scheme": "http", "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1), "headers": [(b"host", b"127.0.0.1")],
        }  # fmt: skip
        async with self.app.router.lifespan_context(self.app):
            with capture_logs() as logged:
                await self.app(scope, receive, send)
            text = self.app.state.offload.metrics.render(None, 0).decode()
        return [line for line in logged if line["event"] == "background_task_failed"], text


async def nothing():
    """Succeed."""


async def test_it_is_done_after_the_answer(redis_client, settings, catalogue):
    """The caller has the whole answer before the work begins."""
    noted = Noted(settings, catalogue, nothing)
    failures, text = await noted.call()

    assert noted.happened == ["answered", "work"]
    assert failures == []
    assert 'offload_background_failures_total{task="test"}' not in text


async def test_it_is_not_done_for_a_request_that_failed(redis_client, settings, catalogue):
    """What follows a success does not follow a failure."""
    noted = Noted(settings, catalogue, nothing, status=500)
    await noted.call()

    assert noted.happened == ["answered"]


@pytest.mark.parametrize("error", [Unavailable("Redis is away"), RuntimeError("a fault")])
async def test_its_failure_is_logged_and_counted_and_nothing_else(redis_client, settings, catalogue, error):
    """The answer stands; somebody can see that the work failed, and why."""

    async def fails():
        raise error

    noted = Noted(settings, catalogue, fails)
    (line,), text = await noted.call()

    assert noted.happened == ["answered", "work"]
    assert (line["task"], line["log_level"]) == ("test", "warning")
    assert str(error) in line["error"]
    assert 'offload_background_failures_total{task="test"} 1.0' in text


async def test_it_ends_after_its_time(redis_client, settings, catalogue, monkeypatch):
    """Work that hangs is given up, and counted as failed: the connection's next request waits for it."""
    monkeypatch.setattr(background, "LIMIT_S", 0.01)
    noted = Noted(settings, catalogue, asyncio.Event().wait)
    failures, text = await noted.call()

    assert [line["error"] for line in failures] == ["TimeoutError()"]
    assert 'offload_background_failures_total{task="test"} 1.0' in text
