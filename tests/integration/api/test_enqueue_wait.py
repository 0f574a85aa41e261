"""Waiting for the end of a job in the call that puts it in, and what else comes with that call."""

import asyncio
import time

import httpx
import pytest

from integration.api.support import is_problem
from offload.store import keys

ADD = "/v1/functions/numbers.add/jobs"
BODY = {"a": 1, "b": 2}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def until(holds):
    """Return when something holds that nobody tells of; fails the test when it does not within 10 s."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - who waits in the API is known to nobody else
            await asyncio.sleep(0.005)


async def ends(redis, worker):
    """Run the one job as soon as the feed tells that it is there."""
    await redis.xread({keys.EVENTS: "0"}, block=10_000)
    await worker.succeed(await worker.start(), b"3")


@pytest.mark.parametrize("asks", [{"params": {"wait": 20}}, {"headers": {"Prefer": "respond-async, wait=20"}}])
async def test_a_job_that_ends_in_time_is_answered_finished(api, worker, redis_client, asks):
    """200 with its result, whether the query asks for it or `Prefer`; the latter is told that it was heard."""
    posted = asyncio.create_task(api.post(ADD, json=BODY, **asks))
    await ends(redis_client, worker)
    response = await posted

    assert (response.status_code, response.json()["status"], response.json()["result"]) == (200, "succeeded", 3)
    assert response.headers.get("preference-applied") == ("wait=20" if "headers" in asks else None)
    assert response.headers["location"] == response.json()["links"]["self"]


async def test_a_job_that_does_not_end_in_time_is_answered_as_it_stands(api):
    """202 when the time is up."""
    started = time.monotonic()
    response = await api.post(ADD, json=BODY, params={"wait": 0.2})

    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert 0.2 <= time.monotonic() - started < 3


async def test_a_preference_that_cannot_be_met_in_time_is_answered_202(api):
    """With what was applied."""
    response = await api.post(ADD, json=BODY, headers={"Prefer": "wait=1"})

    assert (response.status_code, response.headers["preference-applied"]) == (202, "wait=1")


@pytest.mark.parametrize(
    "prefer", ["wait", "wait=soon", "wait=-1", "wait=1.5", "await=5", "return=minimal", "", "wait=0"]
)
async def test_a_preference_that_is_not_understood_is_ignored(api, prefer):
    """RFC 7240, section 2: the answer is the one without it."""
    response = await api.post(ADD, json=BODY, headers={"Prefer": prefer})

    assert response.status_code == 202
    assert response.headers.get("preference-applied") == ("wait=0" if prefer == "wait=0" else None)


@pytest.mark.parametrize("wait", ["61", "-1", "nan", "soon"])
async def test_more_than_a_minute_is_refused(api, wait):
    """`wait` is from 0 to 60 s."""
    response = await api.post(ADD, json=BODY, params={"wait": wait})

    assert is_problem(response, 422, "invalid-parameters")


async def test_the_query_has_the_word_over_the_header(api):
    """It is the more deliberate of the two."""
    response = await api.post(ADD, json=BODY, params={"wait": 0.1}, headers={"Prefer": "wait=60"})

    assert response.status_code == 202
    assert "preference-applied" not in response.headers


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_waiter_that_goes_away_harms_nothing(served, worker, method):
    """Its connection is let go of at once, the job is run as any other, and the API serves on."""
    waiting = served.app.state.offload.inspector._feed._by_job
    job = (await served.post(ADD, json=BODY)).json() if method == "GET" else None
    body = b'{"a":1,"b":2}' if method == "POST" else b""
    path = f"{ADD}?wait=60" if job is None else f"/v1/jobs/{job['id']}?wait=60"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    _, writer = await asyncio.open_connection(served.base_url.host, served.base_url.port)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    await until(lambda: waiting)
    writer.close()
    await writer.wait_closed()
    await until(lambda: not waiting)
    [document] = (await served.get("/v1/jobs")).json()["items"]
    await worker.succeed(await worker.start(), b"3")
    ended = (await served.get(f"/v1/jobs/{document['id']}", params={"wait": 10})).json()

    assert (ended["status"], ended["result"]) == ("succeeded", 3)


async def test_many_wait_at_once(served, worker):
    """Each is answered when its own job ends."""
    waiting = served.app.state.offload.inspector._feed._by_job
    async with httpx.AsyncClient(base_url=served.base_url, timeout=20, limits=httpx.Limits(max_connections=30)) as many:
        posts = [asyncio.create_task(many.post(ADD, json={"a": n, "b": 0}, params={"wait": 20})) for n in range(20)]
        await until(lambda: len(waiting) == 20)
        for _ in range(20):
            job = await worker.start()
            await worker.succeed(job, str(worker.codec.decode_job(job.payload).kwargs["a"]).encode())
        answers = [await one for one in posts]

    assert [one.status_code for one in answers] == [200] * 20
    assert [one.json()["result"] for one in answers] == list(range(20))


async def test_a_trace_goes_with_the_job(api, worker):
    """`traceparent` reaches the worker, from the single call and from a batch."""
    await api.post(ADD, json=BODY, headers={"traceparent": TRACE})
    await api.post(
        "/v1/jobs", json={"jobs": [{"function": "numbers.add", "args": BODY}]}, headers={"traceparent": TRACE}
    )

    assert [TRACE.encode() in (await worker.start()).options for _ in range(2)] == [True, True]


async def test_a_malformed_trace_is_ignored(api, worker):
    """The job is taken, without it."""
    response = await api.post(ADD, json=BODY, headers={"traceparent": "00-zero"})

    assert response.status_code == 202
    assert b"traceparent" not in (await worker.start()).options


async def test_the_active_job_of_a_unique_key_is_the_answer(api, worker):
    """200 with that job and where it is, as long as it has not ended; another key, or function, is free."""
    first = await api.post(ADD, json=BODY, params={"unique_key": "k", "tag": "first"})
    again = await api.post(ADD, json={"a": 5, "b": 5}, params={"unique_key": "k"})
    other = await api.post(ADD, json=BODY, params={"unique_key": "l"})
    elsewhere = await api.post("/v1/functions/demo.beat/jobs", params={"unique_key": "k"})
    await worker.succeed(await worker.start(), b"3")
    after = await api.post(ADD, json=BODY, params={"unique_key": "k"})

    assert [one.status_code for one in (first, again, other, elsewhere, after)] == [202, 200, 202, 202, 202]
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert first.json()["unique_key"] == "k"


async def test_unique_for_alone_takes_the_arguments_for_the_key(api, worker):
    """In whatever order they are given; the answer may be a job that has ended."""
    first = await api.post(ADD, json={"a": 1, "b": 2}, params={"unique_for": 60})
    await worker.succeed(await worker.start(), b"3")
    same = await api.post(ADD, json={"b": 2, "a": 1}, params={"unique_for": 60})
    other = await api.post(ADD, json={"a": 2, "b": 2}, params={"unique_for": 60})

    assert [one.status_code for one in (first, same, other)] == [202, 200, 202]
    assert (same.json()["id"], same.json()["status"]) == (first.json()["id"], "succeeded")


async def test_a_job_is_not_retried_beside_another_of_its_unique_key(api, worker):
    """409 that says which one is in the way."""
    first = (await api.post(ADD, json=BODY, params={"unique_key": "k"})).json()
    await worker.abort(await worker.start())
    second = (await api.post(ADD, json=BODY, params={"unique_key": "k"})).json()
    refused = await api.post(f"/v1/jobs/{first['id']}/retry")

    assert is_problem(refused, 409, "conflict")
    assert second["id"] in refused.json()["detail"]


async def test_a_higher_priority_is_claimed_first(api, worker):
    """`priority` is shown in the document; the queue's oldest job is still told by its time."""
    low = (await api.post(ADD, json=BODY)).json()
    high = (await api.post(ADD, json=BODY, params={"priority": 9})).json()
    queues = (await api.get("/v1/queues")).json()["items"]
    [default] = [one for one in queues if one["name"] == "default"]
    order = [(await worker.start()).id for _ in range(2)]

    assert order == [high["id"], low["id"]]
    assert (low["priority"], high["priority"]) == (0, 9)
    assert default["oldest_at"] == low["run_at"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"priority": "10"}, "priority"),
        ({"priority": "-1"}, "priority"),
        ({"priority": "1.5"}, "priority"),
        ({"unique_key": ""}, "unique_key"),
        ({"unique_key": "x" * 201}, "unique_key"),
        ({"unique_for": "0"}, "unique_for"),
        ({"unique_for": "inf"}, "unique_for"),
        ({"unique_for": "1e12"}, "unique_for"),
    ],
)
async def test_wrong_priorities_and_unique_keys_are_named(api, query, named):
    """422 as for every option."""
    response = await api.post(ADD, json=BODY, params=query)

    assert is_problem(response, 422, "invalid-parameters")
    assert [fault["path"] for fault in response.json()["errors"]] == [named]
