"""Searching jobs over HTTP: every filter, pages that stay good while jobs move, and what a page costs."""

import pytest

from integration.api.support import is_problem
from offload.domain.errors import ErrorInfo
from offload.domain.fingerprints import fingerprint

FAULT = ErrorInfo("ValueError", "no such street")
OF_FAULT = fingerprint("numbers.add", "ValueError", "no such street")
MAIL = {"message": {"to": ["a@b.example"], "subject": "Hello"}}


async def listed(api, **query):
    """Return the ids of all that fits, page by page."""
    found, cursor = [], {}
    while True:
        page = (await api.get("/v1/jobs", params={"limit": 2, **query, **cursor})).json()
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


@pytest.fixture
async def jobs(enqueue, worker):
    """Three jobs: one that waits, a letter for later, and one that is dead."""
    dead = await enqueue(tag=["a", "b"])
    await worker.fail(await worker.start(), FAULT)
    letter = await enqueue("mail.send", MAIL, tag="a", delay=3600)
    return {"dead": dead, "letter": letter, "waits": await enqueue(queue="other", tag="b")}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["waits", "letter", "dead"]),
        ({"status": "dead"}, ["dead"]),
        ({"status": "deferred"}, ["letter"]),
        ({"function": "numbers.add"}, ["waits", "dead"]),
        ({"queue": "mail"}, ["letter"]),
        ({"tag": "a"}, ["letter", "dead"]),
        ({"error": OF_FAULT}, ["dead"]),
        ({"tag": "b", "status": "queued", "queue": "other", "function": "numbers.add"}, ["waits"]),
        ({"error": OF_FAULT, "status": "queued"}, []),
        ({"function": "nobody.knows"}, []),
        ({"enqueued_after": "2001-01-01T00:00:00Z", "enqueued_before": "2999-01-01T00:00:00+01:00"}, None),
        ({"enqueued_before": "2001-01-01T00:00:00Z"}, []),
    ],
)
async def test_each_filter_shows_what_fits_and_nothing_else(api, jobs, query, found):
    """Alone and together, newest first."""
    names = {job["id"]: name for name, job in jobs.items()}
    seen = [names[one] for one in await listed(api, **query)]

    assert sorted(seen) == sorted(found or names.values() if found is None else found)


async def test_a_window_of_time_is_of_the_enqueue(api, jobs):
    """A job is in the window that begins at its own time, and not in the one that ends there."""
    at = jobs["letter"]["enqueued_at"]
    after, before = await listed(api, enqueued_after=at), await listed(api, enqueued_before=at)

    assert jobs["letter"]["id"] in after
    assert jobs["letter"]["id"] not in before
    assert sorted(after + before) == sorted(job["id"] for job in jobs.values())


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"status": "failed"}, "status"),
        ({"error": "ValueError"}, "error"),
        ({"enqueued_after": "yesterday"}, "enqueued_after"),
        ({"enqueued_before": "1763785298"}, "enqueued_before"),
        ({"function": ""}, "function"),
        ({"tags": "a"}, "tags"),
        ({"tag": ["a", "b"]}, "tag"),
        ({"limit": "201"}, "limit"),
    ],
)
async def test_a_wrong_filter_is_422_and_named(api, query, path):
    """What is misspelt, out of range or given twice is not ignored."""
    response = await api.get("/v1/jobs", params=query)

    assert is_problem(response, 422, "invalid-parameters")
    assert [error["path"] for error in response.json()["errors"]] == [path]


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "garbage"},
        {"cursor": "12~"} | {"enqueued_after": "2026-01-02T00:00:00Z", "enqueued_before": "2026-01-01T00:00:00Z"},
    ],
)
async def test_what_no_page_can_be_is_422(api, query):
    """A made-up cursor, a window that ends before it begins."""
    assert is_problem(await api.get("/v1/jobs", params=query), 422, "invalid-parameters")


async def test_a_page_fetches_neither_results_nor_history(api, jobs, enqueue, worker, redis_client):
    """It reads records and arguments; lists are not touched, and what was kept of a result does not matter."""
    await enqueue()
    await worker.succeed(await worker.start(), b'"' + b"x" * 100_000 + b'"')
    await redis_client.config_resetstat()
    page = (await api.get("/v1/jobs")).json()
    stats = await redis_client.info("commandstats")

    assert len(page["items"]) == 4
    assert "cmdstat_lrange" not in stats
    assert "cmdstat_get" not in stats
    assert stats["cmdstat_mget"]["calls"] == 1


async def test_a_job_that_a_stock_worker_ended_is_listed_as_it_ended(api, enqueue, worker, redis_client):
    """Its record knows nothing of it; arq's result does."""
    job = await enqueue()
    claimed = await worker.start()
    payload = worker.codec.decode_job(claimed.payload)
    data = worker.codec.encode_result(job["id"], "arq:queue", payload, 1, 1, 2, result=b"3")
    await redis_client.delete(f"arq:job:{job['id']}", f"arq:in-progress:{job['id']}")
    await redis_client.zrem("arq:queue", job["id"])
    await redis_client.set(f"arq:result:{job['id']}", data, ex=60)
    page = (await api.get("/v1/jobs")).json()

    assert [item["status"] for item in page["items"]] == ["succeeded"]


async def test_what_outlived_its_record_is_neither_shown_nor_met_again(api, jobs, redis_client):
    """A record that Redis dropped by itself leaves the lists in which it was found."""
    await redis_client.delete(f"offload:job:{jobs['dead']['id']}", f"offload:attempts:{jobs['dead']['id']}")
    first = await listed(api, tag="b", status="dead")

    assert first == []
    assert await redis_client.zrange("offload:jobs:tag:b", 0, -1) == [jobs["waits"]["id"].encode()]


async def test_each_failed_attempt_is_in_the_document(api, enqueue, worker):
    """When, where, and what went wrong, with a fingerprint that finds the jobs that failed in the same way."""
    job = await enqueue()
    await worker.fail(await worker.start(), FAULT, verb="retry")
    await worker.fail(await worker.start(), ErrorInfo("KeyError", "'x'", "Traceback …"), verb="dead")
    document = (await api.get(f"/v1/jobs/{job['id']}")).json()
    first, second = document["attempts"]

    assert (first["attempt"], first["worker"], first["error"]["fingerprint"]) == (1, "stand-in", OF_FAULT)
    assert first["started_at"] <= first["ended_at"] <= second["started_at"] <= second["ended_at"]
    assert (second["error"]["type"], second["error"]["traceback"]) == ("KeyError", "Traceback …")
    assert second["error"] == document["error"]
    for one in (first, second):
        assert await listed(api, error=one["error"]["fingerprint"]) == [job["id"]]


async def test_an_aborted_job_says_so_in_a_list_too(api, enqueue):
    """The error of an aborted job does not depend on its result."""
    job = await enqueue()
    await api.post(f"/v1/jobs/{job['id']}/abort")
    [item] = (await api.get("/v1/jobs")).json()["items"]

    assert (item["error"]["type"], item["error"]["message"]) == ("CancelledError", "aborted before it ran")
