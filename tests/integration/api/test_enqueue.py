"""Putting a job in over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from integration.api.support import calling, is_problem, settings_for

JSON = {"Content-Type": "application/json"}
ADD = "/v1/functions/numbers.add/jobs"


def in_seconds(seconds):
    """A time from now, in RFC 3339."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def faults(response):
    """The named fields of a problem, with their codes."""
    return {fault["path"]: fault["code"] for fault in response.json()["errors"]}


async def test_a_job_is_accepted_with_its_document_and_location(api):
    """An enqueue answers 202 with the job's document, and with `Location` where that can be fetched again."""
    response = await api.post(ADD, json={"a": 1, "b": 2})
    document = response.json()
    fetched = await api.get(response.headers["location"])

    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/jobs/{document['id']}" == document["links"]["self"]
    assert document == fetched.json()
    assert (document["function"], document["queue"], document["status"]) == ("numbers.add", "default", "queued")
    assert (document["args"], document["attempt"], document["result"]) == ({"a": 1, "b": 2}, 0, None)


async def test_an_accepted_job_can_be_claimed_by_a_worker(api, worker):
    """What was put in over HTTP is what a worker gets."""
    document = (await api.post(ADD, json={"a": 1, "b": 2})).json()
    claimed = await worker.start()

    assert (claimed.id, claimed.function) == (document["id"], "numbers.add")
    assert worker.codec.decode_job(claimed.payload).kwargs == {"a": 1, "b": 2}


async def test_an_unknown_function_is_404_with_the_nearest_name(api):
    """A misspelt job function is a 404 that says which one was probably meant."""
    response = await api.post("/v1/functions/mail.sned/jobs", json={})

    assert is_problem(response, 404, "unknown-function")
    assert "did you mean 'mail.send'?" in response.json()["detail"]


async def test_each_invalid_argument_is_named_by_its_path(api):
    """Wrong types, missing and surplus arguments are each named, with a path and a stable code."""
    message = {"to": ["a@example.com", 5], "subject": "x" * 30}
    response = await api.post("/v1/functions/mail.send/jobs", json={"message": message, "urgnet": True})

    assert is_problem(response, 422, "invalid-arguments")
    assert faults(response) == {
        "message.to.1": "string_type",
        "message.subject": "string_too_long",
        "urgnet": "extra_forbidden",
    }


async def test_a_problem_never_repeats_a_secret(api, redis_client):
    """Neither the answer to wrong arguments nor the document of a job shows the value of a secret."""
    wrong = await api.post("/v1/functions/digest.pbkdf2/jobs", json={"password": ["hunter2"], "rounds": "hunter2"})
    right = await api.post("/v1/functions/digest.pbkdf2/jobs", json={"password": "hunter2"})

    assert wrong.status_code == 422
    assert "hunter2" not in wrong.text
    assert right.status_code == 202
    assert "hunter2" not in right.text
    assert right.json()["args"]["password"] == "**********"


async def test_a_missing_argument_is_named(api):
    """An empty body where an argument is needed is 422, not 400."""
    response = await api.post(ADD)

    assert is_problem(response, 422, "invalid-arguments")
    assert faults(response) == {"a": "missing", "b": "missing"}


async def test_an_empty_body_is_enough_where_nothing_is_needed(api):
    """A job function without arguments is enqueued without a body."""
    response = await api.post("/v1/functions/demo.beat/jobs")

    assert response.status_code == 202
    assert response.json()["args"] == {}


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"a": NaN}', b"[" * 5000, b'{"a": "\\ud800"}'])
async def test_malformed_json_is_400(api, body):
    """What is not JSON at all is 400 and says where it stops being JSON."""
    response = await api.post(ADD, content=body, headers=JSON)

    assert is_problem(response, 400, "malformed-json")
    assert "line 1" in response.json()["detail"]


@pytest.mark.parametrize("body", [b"[1, 2]", b"null", b'"text"', b"7"])
async def test_a_body_that_is_no_object_is_422(api, body):
    """The arguments are one object; any other JSON is 422."""
    response = await api.post(ADD, content=body, headers=JSON)

    assert is_problem(response, 422, "invalid-arguments")
    assert faults(response) == {"": "object_type"}


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded", "", None])
async def test_a_body_that_is_not_declared_as_json_is_415(api, declared):
    """A body of another media type, or of none, is 415: a browser would send that from any site."""
    headers = {} if declared is None else {"Content-Type": declared}
    response = await api.post(ADD, content=b'{"a": 1, "b": 2}', headers=headers)

    assert is_problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("declared", ["application/json; charset=utf-8", "Application/JSON", "application/foo+json"])
async def test_json_may_be_declared_in_several_ways(api, declared):
    """A charset, capital letters and `+json` types are JSON too."""
    response = await api.post(ADD, content=b'{"a": 1, "b": 2}', headers={"Content-Type": declared})

    assert response.status_code == 202


async def test_a_plain_function_takes_any_object(api):
    """An arq function without a signature takes whatever object comes."""
    response = await api.post("/v1/functions/anything/jobs", json={"x": [1, {"y": None}]})

    assert response.status_code == 202
    assert response.json()["args"] == {"x": [1, {"y": None}]}


async def test_options_reach_the_job(api, worker):
    """Queue, tries, timeout, tags and deadline of the query are the job's own."""
    query = {"queue": "slow", "max_tries": 2, "timeout": 1.5, "tag": ["a", "b", "a"], "deadline": in_seconds(60)}
    document = (await api.post(ADD, json={"a": 1, "b": 2}, params=query)).json()
    fetched = (await api.get(document["links"]["self"])).json()

    assert (document["queue"], document["max_tries"], document["timeout"]) == ("slow", 2, 1.5)
    assert document["tags"] == ["a", "b"]
    assert document["deadline"] is not None
    assert fetched == document


async def test_a_delayed_job_is_deferred(api):
    """`delay` in seconds makes a job that may start that much later."""
    document = (await api.post(ADD, json={"a": 1, "b": 2}, params={"delay": 60})).json()
    enqueued, due = (datetime.fromisoformat(document[name]) for name in ("enqueued_at", "run_at"))

    assert document["status"] == "deferred"
    assert timedelta(seconds=59) < due - enqueued < timedelta(seconds=61)


async def test_a_job_may_be_given_its_time(api):
    """`run_at` is RFC 3339 with any offset, and comes back in UTC."""
    query = {"run_at": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.500+00:00")}
    document = (await api.post(ADD, json={"a": 1, "b": 2}, params=query)).json()

    assert document["status"] == "deferred"
    assert document["run_at"] == query["run_at"].replace("+00:00", "Z")


async def test_a_past_time_means_now(api):
    """A job whose time has passed does not get ahead of those that wait already."""
    document = (await api.post(ADD, json={"a": 1, "b": 2}, params={"run_at": "1999-01-01T00:00:00Z"})).json()

    assert document["status"] == "queued"
    assert document["run_at"] == document["enqueued_at"]


async def test_result_ttl_of_a_call_is_stored_with_the_job(api, worker):
    """`keep_result` reaches the worker with the job."""
    await api.post(ADD, json={"a": 1, "b": 2}, params={"keep_result": 7})
    claimed = await worker.start()

    assert b'"keep_result":7' in claimed.options


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"dealy": "5"}, "dealy"),
        ({"job_id": "mine"}, "job_id"),
        ({"delay": "-1"}, "delay"),
        ({"delay": "1e300"}, "delay"),
        ({"delay": "inf"}, "delay"),
        ({"delay": "nan"}, "delay"),
        ({"delay": "soon"}, "delay"),
        ({"delay": ["1", "2"]}, "delay"),
        ({"run_at": "2026-13-01T00:00:00Z"}, "run_at"),
        ({"run_at": "2026-11-22T09:30:00"}, "run_at"),
        ({"run_at": "1763785298"}, "run_at"),
        ({"run_at": "9999-12-31T23:59:59-12:00"}, "run_at"),
        ({"deadline": "2001-01-01T00:00:00Z"}, "deadline"),
        ({"max_tries": "0"}, "max_tries"),
        ({"max_tries": "1001"}, "max_tries"),
        ({"max_tries": "1.5"}, "max_tries"),
        ({"timeout": "0"}, "timeout"),
        ({"keep_result": "-1"}, "keep_result"),
        ({"queue": "no spaces"}, "queue"),
        ({"queue": ""}, "queue"),
        ({"tag": ""}, "tag.0"),
        ({"tag": ["x"] * 21}, "tag"),
    ],
)
async def test_a_wrong_option_is_422_and_named(api, query, named):
    """An unknown, repeated or impossible option is refused by name, and nothing is enqueued."""
    response = await api.post(ADD, json={"a": 1, "b": 2}, params=query)
    listed = (await api.get("/v1/jobs")).json()["items"]

    assert is_problem(response, 422, "invalid-parameters")
    assert named in faults(response)
    assert listed == []


async def test_a_misspelt_option_is_told_what_was_meant(api):
    """The problem of an unknown option names the nearest one."""
    response = await api.post(ADD, json={"a": 1, "b": 2}, params={"max_trys": 5})

    assert "did you mean 'max_tries'?" in response.json()["detail"]


async def test_delay_and_run_at_exclude_each_other(api):
    """Two answers to when a job may start are one too many."""
    response = await api.post(ADD, json={"a": 1, "b": 2}, params={"delay": 1, "run_at": in_seconds(9)})

    assert is_problem(response, 422, "invalid-parameters")


async def test_a_deadline_before_the_start_is_refused(api):
    """A job that could not start before its deadline is not accepted."""
    response = await api.post(ADD, json={"a": 1, "b": 2}, params={"delay": 60, "deadline": in_seconds(30)})

    assert is_problem(response, 422, "invalid-parameters")
    assert faults(response) == {"deadline": "deadline_passed"}


async def test_a_body_over_the_limit_is_413(redis_client, redis_server, catalogue, tmp_path):
    """A body of more bytes than OFFLOAD_MAX_BODY_BYTES is 413 whether it says its length or comes in chunks."""

    async def chunks():
        for _ in range(20):
            yield b" " * 10

    settings = settings_for(redis_server.url, tmp_path, max_body_bytes=100)
    async with calling(settings, catalogue) as api:
        declared = await api.post(ADD, content=b" " * 101, headers=JSON)
        chunked = await api.post(ADD, content=chunks(), headers=JSON)
        fits = await api.post(ADD, content=b'{"a": 1, "b": 2}'.ljust(100), headers=JSON)

    assert is_problem(declared, 413, "body-too-large")
    assert is_problem(chunked, 413, "body-too-large")
    assert fits.status_code == 202


async def test_an_endless_body_is_refused_before_it_is_read(served):
    """A client that sends without end is answered once the limit is passed, and has not sent much by then."""
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 200_000_000:
            sent += 65_536
            yield b" " * 65_536

    response = await served.post(ADD, content=endless(), headers=JSON)

    assert response.status_code == 413
