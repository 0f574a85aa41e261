"""`GET /v1/jobs/{id}` on the fast path: with and without a query, by any id, and what it hands on to FastAPI."""

import pytest

from integration.api.support import is_problem

CHANGING = {"date", "request-id", "x-request-id"}


def shown(response):
    """What a caller sees of an answer."""
    headers = {name: value for name, value in response.headers.items() if name not in CHANGING}
    return response.status_code, headers, response.content


async def test_a_query_that_asks_for_nothing_changes_nothing(api, enqueue, worker):
    """Body, status and headers, of a job that waits, runs, and has ended."""
    job = await enqueue()
    here, seen = f"/v1/jobs/{job['id']}", []

    async def look():
        seen.append([shown(await api.get(here)), shown(await api.get(here, params={"wait": 0}))])

    await look()
    running = await worker.start()
    await look()
    await worker.succeed(running, b"3")
    await look()

    assert all(plain == queried for plain, queried in seen)
    assert len({plain[2] for plain, _ in seen}) == 3


async def test_what_is_known_is_left_out_with_and_without_a_query(api, enqueue):
    """304 with the same headers."""
    job = await enqueue()
    here = f"/v1/jobs/{job['id']}"
    known = {"If-None-Match": (await api.get(here)).headers["etag"]}
    plain, queried = await api.get(here, headers=known), await api.get(here, params={"wait": 0}, headers=known)

    assert shown(plain) == shown(queried)
    assert plain.status_code == 304


async def test_an_unknown_job_is_the_same_problem(api):
    """404, with the path."""
    plain = await api.get("/v1/jobs/nobody")

    assert is_problem(plain, 404, "not-found")
    assert plain.json() | {"request_id": ""} == (await api.get("/v1/jobs/nobody?wait=0")).json() | {"request_id": ""}


@pytest.mark.parametrize("path", ["/v1/jobs/", "/v1/jobs//", "/v1/jobs/a/b"])
async def test_other_paths_are_not_taken_for_a_job(api, path):
    """What is no path of the API is none here either."""
    assert is_problem(await api.get(path), 404, "unknown-path")


async def test_any_id_can_be_looked_at(api, redis_client):
    """Stock producers choose ids freely; they stand percent-encoded in the path."""
    await redis_client.set("arq:job:a b:ü%2F", b'{"t":null,"f":"demo.beat","a":[],"k":{},"et":1}', ex=60)
    answer = await api.get("/v1/jobs/a%20b%3A%C3%BC%252F")

    assert (answer.status_code, answer.json()["id"]) == (200, "a b:ü%2F")


async def test_a_look_is_logged_and_counted_by_its_route(api, enqueue):
    """By the template, not by each id."""
    job = await enqueue()
    await api.get(f"/v1/jobs/{job['id']}")
    metrics = (await api.get("/metrics")).text

    assert 'route="/v1/jobs/{job_id}"' in metrics
    assert job["id"] not in metrics


@pytest.mark.parametrize(
    ("query", "path"),
    [("wait=long", "wait"), ("wait=61", "wait"), ("wait=-1", "wait"), ("wait=", "wait"), ("w=1", "w")],
)
async def test_a_wrong_query_is_named(api, enqueue, query, path):
    """422 with the parameter that is wrong, or unknown."""
    job = await enqueue()
    answer = await api.get(f"/v1/jobs/{job['id']}?{query}")

    assert is_problem(answer, 422, "invalid-parameters")
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/jobs/x", "GET, HEAD, DELETE"),
        ("GET", "/v1/functions/numbers.add/jobs", "POST"),
        ("PUT", "/v1/jobs", "GET, HEAD, POST"),
    ],
)
async def test_other_methods_of_a_fast_route_name_those_allowed(api, method, path, allowed):
    """405 with the methods of the fast path and of FastAPI together, logged by the route."""
    answer = await api.request(method, path)

    assert is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allowed
    assert 'route="-"' not in (await api.get("/metrics")).text
