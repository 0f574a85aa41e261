"""Looking at jobs over HTTP, waiting for them, stopping them, putting them back."""

import asyncio

import pytest

from integration.api.support import is_problem
from offload.domain.errors import ErrorInfo
from offload.domain.fingerprints import fingerprint

BROKEN = ErrorInfo("ValueError", "no such street", "Traceback …", {"code": 550})


async def test_a_succeeded_job_has_its_result(api, enqueue, worker):
    """The document of a succeeded job has result, times and who ran it."""
    job = await enqueue()
    await worker.succeed(await worker.start(), b'{"sum": 3}')
    document = (await api.get(f"/v1/jobs/{job['id']}")).json()

    assert (document["status"], document["result"], document["attempt"]) == ("succeeded", {"sum": 3}, 1)
    assert document["worker"] == "stand-in"
    assert job["enqueued_at"] <= document["started_at"] <= document["finished_at"] < document["expires_at"]
    assert "abort" not in document["links"]
    assert "retry" not in document["links"]


async def test_a_dead_job_has_its_error_and_attempts(api, enqueue, worker):
    """The document of a dead job has its error, and what went wrong in each attempt."""
    job = await enqueue()
    await worker.fail(await worker.start(), BROKEN, verb="retry")
    await worker.fail(await worker.start(), BROKEN)
    document = (await api.get(f"/v1/jobs/{job['id']}")).json()

    assert document["status"] == "dead"
    assert document["error"] == {
        "type": "ValueError",
        "message": "no such street",
        "traceback": "Traceback …",
        "fingerprint": fingerprint("numbers.add", "ValueError", "no such street"),
        "details": {"code": 550},
    }
    assert [(one["attempt"], one["error"]["type"]) for one in document["attempts"]] == [
        (1, "ValueError"),
        (2, "ValueError"),
    ]
    assert document["links"]["retry"] == f"/v1/jobs/{job['id']}/retry"


async def test_a_running_job_shows_progress_and_log(api, enqueue, worker):
    """What a running job says of itself is in its document."""
    job = await enqueue()
    claimed = await worker.start()
    await worker.note(claimed, "progress", {"fraction": 0.5, "message": "half"})
    await worker.note(claimed, "log", {"level": "info", "message": "hello"})
    document = (await api.get(f"/v1/jobs/{job['id']}")).json()

    assert (document["progress"]["fraction"], document["progress"]["message"]) == (0.5, "half")
    assert [(line["level"], line["message"]) for line in document["log"]] == [("info", "hello")]
    assert document["log"][0]["at"].endswith("Z")


@pytest.mark.parametrize("path", ["", "/result", "/events"])
async def test_an_unknown_job_is_404(api, path):
    """An id that no job has is a 404 problem, for each way to look at one."""
    response = await api.get(f"/v1/jobs/nobody{path}")

    assert is_problem(response, 404, "not-found")


@pytest.mark.parametrize("verb", ["abort", "retry"])
async def test_nothing_can_be_done_to_an_unknown_job(api, verb):
    """Aborting or retrying an id that no job has is a 404 problem."""
    response = await api.post(f"/v1/jobs/nobody/{verb}")

    assert is_problem(response, 404, "not-found")


async def test_waiting_ends_when_the_job_ends(api, enqueue, worker):
    """`?wait=` answers as soon as the job has ended, with the whole document."""
    job = await enqueue()
    claimed = await worker.start()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(api.get(f"/v1/jobs/{job['id']}", params={"wait": 60}))
        group.create_task(worker.succeed(claimed, b"3"))

    assert (waiting.result().json()["status"], waiting.result().json()["result"]) == ("succeeded", 3)


async def test_waiting_in_vain_answers_with_the_job_as_it_stands(api, enqueue):
    """When the time is up the answer is 200 with the unfinished job."""
    job = await enqueue()
    response = await api.get(f"/v1/jobs/{job['id']}", params={"wait": 0.05})

    assert (response.status_code, response.json()["status"]) == (200, "queued")


@pytest.mark.parametrize("query", [{"wait": "61"}, {"wait": "-1"}, {"wait": "x"}, {"wait": "nan"}, {"wiat": "5"}])
async def test_a_wrong_wait_is_422(api, query):
    """Only 0 to 60 seconds can be waited for, and a misspelt parameter is not ignored."""
    response = await api.get("/v1/jobs/nobody", params=query)

    assert is_problem(response, 422, "invalid-parameters")
    assert response.json()["errors"][0]["path"] == next(iter(query))


async def test_the_bare_result_is_json(api, enqueue, worker):
    """`/result` answers with the result and nothing around it."""
    job = await enqueue()
    await worker.succeed(await worker.start(), b'["bare"]')
    response = await api.get(f"/v1/jobs/{job['id']}/result")

    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == ["bare"]


async def test_the_result_of_an_unfinished_job_is_409(api, enqueue):
    """There is no result before the end, and the problem says so."""
    job = await enqueue()
    response = await api.get(f"/v1/jobs/{job['id']}/result")

    assert is_problem(response, 409, "not-finished")


async def test_the_result_of_a_failed_job_is_409_with_its_error(api, enqueue, worker):
    """A dead job never has a result; the problem says what went wrong."""
    job = await enqueue()
    await worker.fail(await worker.start(), BROKEN)
    response = await api.get(f"/v1/jobs/{job['id']}/result")

    assert is_problem(response, 409, "job-failed")
    assert "ValueError: no such street" in response.json()["detail"]


async def test_an_expired_result_is_410(api, enqueue, worker):
    """A result whose TTL has passed is gone, though the job is still known."""
    job = await enqueue()
    await worker.succeed(await worker.start(), b"3", keep_ms=0)
    response = await api.get(f"/v1/jobs/{job['id']}/result")

    assert is_problem(response, 410, "result-expired")


async def test_a_waiting_job_is_aborted_at_once(api, enqueue):
    """Aborting a job that waits answers 200 with the aborted job; once more is no error."""
    job = await enqueue()
    first = await api.post(f"/v1/jobs/{job['id']}/abort")
    second = await api.post(f"/v1/jobs/{job['id']}/abort")

    assert (first.status_code, first.json()["status"]) == (200, "aborted")
    assert (second.status_code, second.json()["status"]) == (200, "aborted")


async def test_a_running_job_is_told_to_stop(api, enqueue, worker):
    """Aborting a job that runs answers 202: its worker has been told, and the document says so."""
    job = await enqueue()
    claimed = await worker.start()
    response = await api.post(f"/v1/jobs/{job['id']}/abort")
    await worker.abort(claimed)
    document = (await api.get(f"/v1/jobs/{job['id']}")).json()

    assert (response.status_code, response.json()["status"], response.json()["aborting"]) == (202, "running", True)
    assert (document["status"], document["aborting"]) == ("aborted", False)


async def test_a_finished_job_cannot_be_aborted(api, enqueue, worker):
    """Aborting what has ended is a conflict that names the state."""
    job = await enqueue()
    await worker.succeed(await worker.start(), b"3")
    response = await api.post(f"/v1/jobs/{job['id']}/abort")

    assert is_problem(response, 409, "conflict")
    assert "succeeded" in response.json()["detail"]


async def test_a_dead_job_can_be_put_back(api, enqueue, worker):
    """Retrying a dead job answers 202 with the queued job, which a worker can claim again as attempt 1."""
    job = await enqueue()
    await worker.fail(await worker.start(), BROKEN)
    response = await api.post(f"/v1/jobs/{job['id']}/retry")
    claimed = await worker.start()

    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (claimed.id, claimed.attempt) == (job["id"], 1)


async def test_a_deferred_job_can_be_run_now(api, enqueue, worker):
    """Retrying a deferred job makes it due at once."""
    job = await enqueue(delay=3600)
    response = await api.post(f"/v1/jobs/{job['id']}/retry")

    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert (await worker.start()).id == job["id"]


async def test_a_succeeded_job_cannot_be_retried(api, enqueue, worker):
    """Retrying what succeeded is a conflict."""
    job = await enqueue()
    await worker.succeed(await worker.start(), b"3")
    response = await api.post(f"/v1/jobs/{job['id']}/retry")

    assert is_problem(response, 409, "conflict")


async def test_pages_walk_through_all_jobs_newest_first(api, enqueue):
    """Following `next` shows every job once, newest first, and ends with null."""
    made = [(await enqueue())["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        page = (await api.get("/v1/jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break

    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen))


async def test_jobs_can_be_listed_by_status(api, enqueue, worker):
    """The status filter shows those jobs and no others."""
    first, second = await enqueue(), await enqueue(delay=60)
    claimed = await worker.start()
    found = {
        status: [item["id"] for item in (await api.get("/v1/jobs", params={"status": status})).json()["items"]]
        for status in ("running", "deferred", "dead")
    }

    assert claimed.id == first["id"]
    assert found == {"running": [first["id"]], "deferred": [second["id"]], "dead": []}


async def test_a_list_leaves_out_what_may_be_large(api, enqueue):
    """Items of a list have no result, attempts and log; everything else is as in the document."""
    job = await enqueue()
    item = (await api.get("/v1/jobs")).json()["items"][0]

    assert item == {name: value for name, value in job.items() if name not in ("result", "attempts", "log")}


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "201"}, {"status": "failed"}, {"cursor": "garbage"}, {"state": "dead"}]
)
async def test_a_wrong_filter_is_422(api, query):
    """A limit out of range, an unknown status, a made-up cursor or an unknown filter is refused."""
    response = await api.get("/v1/jobs", params=query)

    assert is_problem(response, 422, "invalid-parameters")


async def test_a_large_result_does_not_make_a_list_heavy(api, enqueue, worker):
    """A list does not carry results, however large they are."""
    await enqueue()
    await worker.succeed(await worker.start(), b'"' + b"x" * 100_000 + b'"')
    response = await api.get("/v1/jobs")

    assert len(response.content) < 2000
