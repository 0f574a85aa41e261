"""The plain look at a job, which goes past FastAPI, answers as the route of `jobs` does, which has the query."""

import pytest

from integration.api.support import is_problem

CHANGING = {"date", "request-id", "x-request-id"}


def shown(response):
    """What a caller sees of an answer."""
    headers = {name: value for name, value in response.headers.items() if name not in CHANGING}
    return response.status_code, headers, response.content


async def test_both_ways_give_the_same_answer(api, enqueue, worker):
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

    assert all(plain == routed for plain, routed in seen)
    assert len({plain[2] for plain, _ in seen}) == 3


async def test_both_ways_leave_out_what_is_known(api, enqueue):
    """304 with the same headers."""
    job = await enqueue()
    here = f"/v1/jobs/{job['id']}"
    known = {"If-None-Match": (await api.get(here)).headers["etag"]}
    plain, routed = await api.get(here, headers=known), await api.get(here, params={"wait": 0}, headers=known)

    assert shown(plain) == shown(routed)
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
