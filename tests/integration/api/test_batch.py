"""`POST /v1/jobs`: many jobs of any functions, all or none."""

import pytest

from integration.api.support import is_problem
from offload.store.fleet import stats

JOBS = "/v1/jobs"


def add(a=1, b=2, **options):
    """One job of a batch."""
    return {"function": "numbers.add", "args": {"a": a, "b": b}, **({"options": options} if options else {})}


def faults(response):
    """Path and code of each fault of a problem."""
    return {fault["path"]: fault["code"] for fault in response.json()["errors"]}


async def test_jobs_of_many_functions_come_back_in_order(api):
    """202 with one document each, as a list without a next page, and each can be fetched."""
    jobs = [add(1), {"function": "demo.beat"}, {"function": "anything", "args": {"x": None}}, add(2)]
    response = await api.post(JOBS, json={"jobs": jobs})
    items = response.json()["items"]
    fetched = [(await api.get(one["links"]["self"])).json() for one in items]

    assert (response.status_code, response.json()["next"]) == (202, None)
    assert [one["function"] for one in items] == [one["function"] for one in jobs]
    assert [one["args"] for one in items] == [{"a": 1, "b": 2}, {}, {"x": None}, {"a": 2, "b": 2}]
    assert items == [{name: one[name] for name in items[0]} for one in fetched]


async def test_each_job_has_its_own_options(api):
    """As on the single call; there are `tags` where the query has `tag`."""
    options = {"queue": "slow", "priority": 3, "max_tries": 2, "timeout": 1.5, "tags": ["a", "b", "a"], "delay": 60}
    response = await api.post(JOBS, json={"jobs": [add(**options), add()]})
    first, second = response.json()["items"]

    assert {name: first[name] for name in ("queue", "priority", "max_tries", "timeout")} == {
        name: options[name] for name in ("queue", "priority", "max_tries", "timeout")
    }
    assert (first["tags"], first["status"]) == (["a", "b"], "deferred")
    assert (second["tags"], second["status"], second["queue"]) == ([], "queued", "default")


async def test_a_thousand_jobs_are_one_batch(api, redis_client):
    """That is the most; they go in in one step."""
    response = await api.post(JOBS, json={"jobs": [add(n) for n in range(1000)]})

    assert response.status_code == 202
    assert [one["args"]["a"] for one in response.json()["items"]] == list(range(1000))
    assert await redis_client.zcard("arq:queue") == 1000


async def test_one_job_too_many_is_refused(api):
    """1,001 jobs are not a batch."""
    response = await api.post(JOBS, json={"jobs": [add()] * 1001})

    assert is_problem(response, 422, "invalid-batch")
    assert faults(response) == {"jobs": "too_long"}


async def test_an_empty_batch_is_done_at_once(api):
    """A program that has nothing to put in need not ask whether it has."""
    response = await api.post(JOBS, json={"jobs": []})

    assert (response.status_code, response.json()) == (202, {"items": [], "next": None})


async def test_every_fault_of_every_job_is_named_and_none_is_put_in(api, redis_client):
    """Its path begins with the place of the job in the batch."""
    message = {"to": ["a@example.com", 5], "subject": "x" * 30}
    jobs = [
        add(),
        {"function": "mail.send", "args": {"message": message}},
        {"function": "mail.sned"},
        add(a="one", delay=-1, priorty=5),
        {"args": {}},
        {"function": "numbers.add", "args": [1, 2], "option": {}},
        "numbers.add",
        add(delay=1, run_at="2030-01-01T00:00:00Z"),
        add(),
    ]
    response = await api.post(JOBS, json={"jobs": jobs, "more": 1})

    assert is_problem(response, 422, "invalid-batch")
    assert faults(response) == {
        "more": "extra_forbidden",
        "jobs.1.args.message.to.1": "string_type",
        "jobs.1.args.message.subject": "string_too_long",
        "jobs.2.function": "unknown_function",
        "jobs.3.options.priorty": "unknown_parameter",
        "jobs.3.args.a": "int_parsing",
        "jobs.4.function": "string_type",
        "jobs.5.args": "object_type",
        "jobs.5.option": "extra_forbidden",
        "jobs.6": "object_type",
        "jobs.7.options.run_at": "excluded",
    }
    assert "did you mean 'priority'?" in response.text
    assert "did you mean 'mail.send'?" in response.text
    assert set((await stats.counts_by_status(redis_client)).values()) == {0}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"delay": "5"}, "delay"),
        ({"max_tries": 1.5}, "max_tries"),
        ({"run_at": 1763785298}, "run_at"),
        ({"run_at": "2026-11-22"}, "run_at"),
        ({"tags": "a"}, "tags"),
        ({"tag": ["a"]}, "tag"),
        ({"priority": 10}, "priority"),
        ({"unique_key": ""}, "unique_key"),
        ({"unique_for": 0}, "unique_for"),
        ({"wait": 1}, "wait"),
        ({"deadline": "2001-01-01T00:00:00Z"}, "deadline"),
    ],
)
async def test_options_in_a_batch_are_json_and_checked_as_such(api, options, named):
    """A number is a number; what only the single call has is unknown here."""
    response = await api.post(JOBS, json={"jobs": [add(**options)]})

    assert is_problem(response, 422, "invalid-batch")
    assert list(faults(response)) == [f"jobs.0.options.{named}"]


@pytest.mark.parametrize("body", [{}, {"jobs": {}}, [], 7])
async def test_a_batch_is_an_object_with_a_list(api, body):
    """Any other JSON is 422."""
    response = await api.post(JOBS, json=body)

    assert is_problem(response, 422, "invalid-batch")
    assert "jobs" in faults(response)


async def test_a_batch_has_no_options_of_its_own(api):
    """An option in the query would be without effect, so it is refused."""
    response = await api.post(JOBS, json={"jobs": [add()]}, params={"delay": 5})

    assert is_problem(response, 422, "invalid-parameters")
    assert faults(response) == {"delay": "unknown_parameter"}


async def test_a_secret_of_a_batch_is_never_repeated(api):
    """Neither in a document nor in a problem."""
    job = {"function": "digest.pbkdf2", "args": {"password": "hunter2"}}
    right = await api.post(JOBS, json={"jobs": [job]})
    wrong = await api.post(JOBS, json={"jobs": [job, {"function": "digest.pbkdf2", "args": {"password": ["hunter2"]}}]})

    assert (right.status_code, wrong.status_code) == (202, 422)
    assert "hunter2" not in right.text + wrong.text


async def test_jobs_of_a_batch_that_are_there_already_are_answered_as_they_stand(api):
    """202 where one is new, 200 where all of them have a unique key that is taken."""
    batch = {"jobs": [add(1, unique_key="k"), add(2, unique_key="k")]}
    first = (await api.post(JOBS, json=batch)).json()["items"]
    again = await api.post(JOBS, json=batch)
    mixed = await api.post(JOBS, json={"jobs": [*batch["jobs"], add(3)]})

    assert first[0]["id"] == first[1]["id"]
    assert first[1]["args"] == {"a": 1, "b": 2}
    assert (again.status_code, again.json()["items"]) == (200, first)
    assert (mixed.status_code, mixed.json()["items"][:2]) == (202, first)


async def test_openapi_types_each_job_of_a_batch_by_its_function(api):
    """One schema for each function, and an example that is accepted."""
    document = (await api.get("/openapi.json")).json()
    operation = document["paths"][JOBS]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    items = document["components"]["schemas"]["Batch"]["properties"]["jobs"]["items"]["oneOf"]
    accepted = await api.post(JOBS, json=content["example"])

    assert operation["operationId"] == "enqueue_many"
    assert {one["properties"]["function"]["const"] for one in items} >= {"mail.send", "numbers.add", "demo.beat"}
    assert accepted.status_code == 202
    assert accepted.json()["items"]
    assert {"200", "202", "400", "409", "410", "413", "415", "422", "503"} <= set(operation["responses"])
