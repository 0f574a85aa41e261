"""Retrying and aborting all jobs that fit a filter, and forgetting one."""

import asyncio

import pytest

from integration.api.support import is_problem
from offload.domain.errors import ErrorInfo
from offload.domain.fingerprints import fingerprint
from offload.store.jobs import actions

FAULT = ErrorInfo("ValueError", "no such street")
OF_FAULT = fingerprint("numbers.add", "ValueError", "no such street")


@pytest.fixture
def dead(enqueue, worker):
    """Make so many jobs that are dead by one fault."""

    async def dead(count, **query):
        jobs = [await enqueue(**query) for _ in range(count)]
        for _ in jobs:
            await worker.fail(await worker.start(), FAULT)
        return [job["id"] for job in jobs]

    return dead


async def statuses(api, ids):
    return {(await api.get(f"/v1/jobs/{one}")).json()["status"] for one in ids}


async def test_all_jobs_that_one_fault_broke_are_retried(api, dead, enqueue):
    """By its fingerprint; the others are left alone."""
    ids, other = await dead(3), await enqueue(delay=60)
    response = await api.post("/v1/jobs:retry", json={"filter": {"error": OF_FAULT, "status": "dead"}})
    answer = response.json()

    assert response.status_code == 200
    assert sorted(answer.pop("ids")) == sorted(ids)
    assert answer == {"matched": 3, "done": 3, "dry_run": False, "more": False}
    assert await statuses(api, ids) == {"queued"}
    assert await statuses(api, [other["id"]]) == {"deferred"}


async def test_all_jobs_with_a_tag_are_aborted(api, enqueue, worker):
    """Those that wait at once, one that runs by its worker; what has ended is not counted."""
    ended, runs = await enqueue(tag="x"), await enqueue(tag="x")
    await worker.succeed(await worker.start(), b"1")
    claimed = await worker.start()
    waits, later, other = await enqueue(tag="x"), await enqueue(tag="x", delay=60), await enqueue(tag="y")
    answer = (await api.post("/v1/jobs:abort", json={"filter": {"tag": "x"}})).json()
    shown = (await api.get(f"/v1/jobs/{runs['id']}")).json()

    assert claimed.id == runs["id"]
    assert (answer["matched"], answer["done"], set(answer["ids"])) == (3, 3, {runs["id"], waits["id"], later["id"]})
    assert (shown["status"], shown["aborting"]) == ("running", True)
    assert await statuses(api, [waits["id"], later["id"]]) == {"aborted"}
    assert (await statuses(api, [ended["id"]]), await statuses(api, [other["id"]])) == ({"succeeded"}, {"queued"})


@pytest.mark.parametrize("verb", ["retry", "abort"])
async def test_a_dry_run_counts_and_changes_nothing(api, dead, enqueue, redis_client, verb):
    """It says how many there are, also beyond the limit, and which the first are."""
    ids = [(await enqueue(delay=60, tag="x"))["id"] for _ in range(3)]
    before = {one: await redis_client.dump(f"offload:job:{one}") for one in ids}
    asked = {"filter": {"tag": "x", "status": "deferred"}, "dry_run": True, "limit": 2}
    answer = (await api.post(f"/v1/jobs:{verb}", json=asked)).json()

    assert (answer["matched"], answer["done"], answer["dry_run"], sorted(answer["ids"])) == (3, 0, True, sorted(ids))
    assert {one: await redis_client.dump(f"offload:job:{one}") for one in ids} == before


async def test_a_dry_run_counts_by_one_filter_too(api, dead):
    """Where one list has the answer."""
    await dead(3)
    answer = (await api.post("/v1/jobs:retry", json={"filter": {"status": "dead"}, "dry_run": True})).json()

    assert (answer["matched"], len(answer["ids"]), answer["more"]) == (3, 3, False)


async def test_a_limit_leaves_the_rest_for_the_next_call(api, dead):
    """`more` is true until nothing is left, and the newest come first."""
    ids = await dead(5)
    asked = {"filter": {"status": "dead"}, "limit": 2}
    answers = [(await api.post("/v1/jobs:retry", json=asked)).json() for _ in range(3)]

    assert [(one["matched"], one["done"], one["more"]) for one in answers] == [
        (2, 2, True),
        (2, 2, True),
        (1, 1, False),
    ]
    assert sorted(one for answer in answers for one in answer["ids"]) == sorted(ids)


async def test_many_jobs_take_few_round_trips(api, redis_client, enqueue, monkeypatch):
    """Hundreds of jobs go in one call of a script."""
    monkeypatch.setattr(actions, "_AT_ONCE", 20)
    await asyncio.gather(*(enqueue(tag="x") for _ in range(50)))
    await redis_client.config_resetstat()
    answer = (await api.post("/v1/jobs:abort", json={"filter": {"tag": "x"}})).json()
    stats = await redis_client.info("commandstats")

    assert (answer["done"], len(answer["ids"])) == (50, 50)
    assert stats["cmdstat_evalsha"]["calls"] < 15


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "filter"),
        ({"filter": {}}, "filter"),
        ({"filter": {"status": "failed"}}, "filter.status"),
        ({"filter": {"state": "dead"}}, "filter.state"),
        ({"filter": {"tag": "x"}, "limit": 10_001}, "limit"),
        ({"filter": {"tag": "x"}, "dry_run": "no"}, "dry_run"),
        ({"filter": {"tag": "x"}, "dryrun": True}, "dryrun"),
        ([], ""),
    ],
)
@pytest.mark.parametrize("verb", ["retry", "abort"])
async def test_a_wrong_request_is_422_and_named(api, verb, body, path):
    """Nothing is done by a filter that was not understood, or that would mean every job."""
    response = await api.post(f"/v1/jobs:{verb}", json=body)

    assert is_problem(response, 422, "invalid-parameters")
    assert [error["path"] for error in response.json()["errors"]] == [path]


async def test_an_empty_filter_is_refused_with_what_is_needed(api):
    """The message names the fields, of which one has to be given."""
    response = await api.post("/v1/jobs:abort", json={"filter": {}})

    assert "at least one of status, function, queue, tag, error" in response.json()["detail"]


async def test_a_retry_of_no_status_leaves_what_waits_for_its_time(api, enqueue):
    """A deferred job keeps its time, unless its status is named."""
    await enqueue(tag="later", delay=600)
    without = (await api.post("/v1/jobs:retry", json={"filter": {"tag": "later"}})).json()
    named = (await api.post("/v1/jobs:retry", json={"filter": {"tag": "later", "status": "deferred"}})).json()

    assert (without["matched"], named["done"]) == (0, 1)


@pytest.mark.parametrize(("verb", "status"), [("retry", "succeeded"), ("retry", "running"), ("abort", "dead")])
async def test_a_status_that_the_action_is_not_for_is_422(api, verb, status):
    """The problem says which it is for."""
    response = await api.post(f"/v1/jobs:{verb}", json={"filter": {"status": status}})

    assert is_problem(response, 422, "invalid-parameters")
    assert "only" in response.json()["detail"]


@pytest.mark.parametrize(
    ("content", "media_type", "status", "slug"),
    [
        (b"{", "application/json", 400, "malformed-json"),
        (b'{"filter": {"tag": "x"}}', "text/plain", 415, "unsupported-media-type"),
    ],
)
async def test_a_body_that_is_no_json_is_a_problem(api, content, media_type, status, slug):
    """As everywhere."""
    response = await api.post("/v1/jobs:retry", content=content, headers={"Content-Type": media_type})

    assert is_problem(response, status, slug)


async def test_a_job_that_has_ended_is_forgotten(api, enqueue, worker):
    """204, and then it is as if it had never been; no list shows it."""
    job = await enqueue(tag="x")
    await worker.fail(await worker.start(), FAULT)
    response = await api.delete(f"/v1/jobs/{job['id']}")

    assert (response.status_code, response.content) == (204, b"")
    assert is_problem(await api.get(f"/v1/jobs/{job['id']}"), 404, "not-found")
    assert is_problem(await api.delete(f"/v1/jobs/{job['id']}"), 404, "not-found")
    assert (await api.get("/v1/jobs", params={"tag": "x"})).json()["items"] == []


async def test_a_job_that_has_not_ended_is_not_forgotten(api, enqueue):
    """409 says what to do first."""
    job = await enqueue()
    response = await api.delete(f"/v1/jobs/{job['id']}")

    assert is_problem(response, 409, "conflict")
    assert "abort it first" in response.json()["detail"]
    assert (await api.get(f"/v1/jobs/{job['id']}")).status_code == 200
