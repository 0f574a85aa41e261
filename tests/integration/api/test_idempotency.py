"""`Idempotency-Key`: a request that is sent again puts nothing in again."""

import asyncio

import pytest

from integration.api.support import calling, is_problem, settings_for
from offload.domain.errors import Unavailable
from offload.store import keys
from offload.store.fleet import stats

ADD = "/v1/functions/numbers.add/jobs"
BODY = {"a": 1, "b": 2}
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


async def count(redis):
    """How many jobs there are."""
    return sum((await stats.counts_by_status(redis)).values())


async def test_the_same_request_again_is_answered_with_the_same_job(api, redis_client):
    """200 with the job as it stands, and where it is; only one was put in."""
    first = await api.post(ADD, json=BODY, headers=KEY)
    again = await api.post(ADD, json=BODY, headers=KEY)

    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert await count(redis_client) == 1


async def test_the_job_is_answered_as_it_stands(api, worker):
    """With its result, when it has ended since."""
    await api.post(ADD, json=BODY, headers=KEY)
    await worker.succeed(await worker.start(), b"3")
    again = await api.post(ADD, json=BODY, headers=KEY)

    assert (again.json()["status"], again.json()["result"]) == ("succeeded", 3)


async def test_the_same_batch_again_is_answered_with_the_same_jobs(api, redis_client):
    """In their order."""
    batch = {"jobs": [{"function": "numbers.add", "args": {"a": n, "b": 2}} for n in range(3)]}
    first = await api.post("/v1/jobs", json=batch, headers=KEY)
    again = await api.post("/v1/jobs", json=batch, headers=KEY)

    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert await count(redis_client) == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [(ADD, b'{"a": 1, "b": 3}'), (ADD, b'{"a":1,"b":2} '), (f"{ADD}?delay=1", None), ("/v1/jobs", b'{"jobs":[]}')],
)
async def test_another_request_with_the_same_key_is_422(api, redis_client, path, body):
    """Another body, query or path, byte for byte."""
    await api.post(ADD, json=BODY, headers=KEY)
    content = body or b'{"a":1,"b":2}'
    other = await api.post(path, content=content, headers={**KEY, "Content-Type": "application/json"})

    assert is_problem(other, 422, "idempotency-key-reused")
    assert await count(redis_client) == 1


async def test_while_the_first_is_under_way_the_second_is_409(api, redis_client, monkeypatch):
    """With `Retry-After`; when the first is done the second is answered as it."""
    store = api.app.state.offload.client._store
    arrived, go_on, put = asyncio.Event(), asyncio.Event(), store.enqueue

    async def slow(job):
        arrived.set()
        await go_on.wait()
        return await put(job)

    monkeypatch.setattr(store, "enqueue", slow)
    first = asyncio.create_task(api.post(ADD, json=BODY, headers=KEY))
    await arrived.wait()
    second = await api.post(ADD, json=BODY, headers=KEY)
    other = await api.post(ADD, json={"a": 2, "b": 2}, headers=KEY)
    go_on.set()
    done = await first
    third = await api.post(ADD, json=BODY, headers=KEY)

    assert is_problem(second, 409, "idempotency-key-in-use")
    assert second.headers["retry-after"] == "1"
    assert is_problem(other, 422, "idempotency-key-reused")
    assert (done.status_code, third.status_code, third.json()["id"]) == (202, 200, done.json()["id"])
    assert await count(redis_client) == 1


async def test_twenty_at_once_put_in_one_job(api, redis_client):
    """Whoever is first; the others are told that it is under way, or are given its job."""
    answers = await asyncio.gather(*(api.post(ADD, json=BODY, headers=KEY) for _ in range(20)))
    statuses = sorted(one.status_code for one in answers)

    assert statuses.count(202) == 1
    assert set(statuses) <= {200, 202, 409}
    assert await count(redis_client) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (ADD, b'{"a": "one"}', 422),
        (ADD, b"{", 400),
        (f"{ADD}?dealy=5", b'{"a": 1, "b": 2}', 422),
        ("/v1/functions/mail.sned/jobs", b"{}", 404),
        ("/v1/jobs", b'{"jobs": [{"function": "mail.sned"}]}', 422),
    ],
)
async def test_a_refused_request_leaves_its_key_free(api, path, body, status):
    """It put nothing in: corrected, it may be sent again with the same key."""
    refused = await api.post(path, content=body, headers={**KEY, "Content-Type": "application/json"})
    corrected = await api.post(ADD, json=BODY, headers=KEY)

    assert (refused.status_code, corrected.status_code) == (status, 202)


async def test_a_request_that_redis_did_not_answer_keeps_its_key_for_a_moment(api, redis_client, monkeypatch):
    """Nobody knows whether it put something in; what it left lapses by itself."""
    store = api.app.state.offload.client._store

    async def away(_job):
        raise Unavailable("gone")

    monkeypatch.setattr(store, "enqueue", away)
    lost = await api.post(ADD, json=BODY, headers=KEY)
    at_once = await api.post(ADD, json=BODY, headers=KEY)
    [mark] = [key async for key in redis_client.scan_iter(keys.IDEMPOTENCY + "*")]

    assert (lost.status_code, at_once.status_code) == (503, 409)
    assert 0 < await redis_client.pttl(mark) <= 10_000


@pytest.mark.parametrize("key", ["", "é", "x" * 256, "a\tb"])
async def test_a_key_is_up_to_255_printable_characters(api, redis_client, key):
    """Any other is 422, and names the header."""
    response = await api.post(ADD, json=BODY, headers={"Idempotency-Key": key.encode()})

    assert is_problem(response, 422, "invalid-parameters")
    assert response.json()["errors"][0]["path"] == "Idempotency-Key"
    assert await count(redis_client) == 0


async def test_a_job_that_is_no_longer_kept_is_410(api, redis_client):
    """It was done; it is not done again."""
    document = (await api.post(ADD, json=BODY, headers=KEY)).json()
    await redis_client.delete(keys.RECORD + document["id"], keys.ARQ_JOB + document["id"])
    again = await api.post(ADD, json=BODY, headers=KEY)

    assert is_problem(again, 410, "job-not-kept")
    assert document["id"] in again.json()["detail"]


async def test_a_key_stands_for_the_job_that_had_its_unique_key(api, redis_client):
    """What was answered the first time is answered again."""
    there = (await api.post(ADD, json=BODY, params={"unique_key": "k"})).json()
    first = await api.post(ADD, json=BODY, params={"unique_key": "k"}, headers=KEY)
    again = await api.post(ADD, json=BODY, params={"unique_key": "k"}, headers=KEY)

    assert [one.status_code for one in (first, again)] == [200, 200]
    assert first.json()["id"] == again.json()["id"] == there["id"]
    assert await count(redis_client) == 1


async def test_two_callers_may_use_the_same_key(redis_client, redis_server, catalogue, tmp_path):
    """Each API key has idempotency keys of its own."""
    settings = settings_for(redis_server.url, tmp_path, api_keys=["k" * 32, "l" * 32])
    async with calling(settings, catalogue) as api:
        answers = [
            await api.post(ADD, json=BODY, headers={**KEY, "Authorization": f"Bearer {name * 32}"})
            for name in ("k", "l", "k")
        ]

    assert [one.status_code for one in answers] == [202, 202, 200]
    assert answers[0].json()["id"] == answers[2].json()["id"] != answers[1].json()["id"]


async def test_a_request_without_a_key_asks_redis_for_nothing_more(api, redis_client):
    """One call of one script, as before there were keys."""
    await api.post(ADD, json=BODY)
    before = (await redis_client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await api.post(ADD, json=BODY)
    after = (await redis_client.info("commandstats"))["cmdstat_evalsha"]["calls"]

    assert after - before == 1


async def test_what_was_not_confirmed_is_not_told_as_done(redis_client, redis_server, catalogue, tmp_path):
    """Sent again the request waits for the confirmation anew, and puts nothing in: 503 until it comes."""
    settings = settings_for(redis_server.url, tmp_path, enqueue_replicas=1, enqueue_confirm_seconds=0.05)
    async with calling(settings, catalogue) as api:
        first = await api.post(ADD, json=BODY, headers=KEY)
        again = await api.post(ADD, json=BODY, headers=KEY)

    assert is_problem(first, 503, "enqueue-unconfirmed")
    assert is_problem(again, 503, "enqueue-unconfirmed")
    assert await count(redis_client) == 1
