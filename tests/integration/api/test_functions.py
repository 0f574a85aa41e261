"""The catalogue of job functions over HTTP."""

from integration.api.support import is_problem
from offload.domain.errors import ErrorInfo


async def test_every_job_function_is_listed(api, catalogue):
    """The list has each function once, by name."""
    listed = (await api.get("/v1/functions")).json()

    assert [one["name"] for one in listed["items"]] == sorted(catalogue.functions)
    assert listed["next"] is None


async def test_a_function_tells_its_schema_and_policy(api):
    """A function's document has what a caller must know: schemas, queue, place, policy with defaults filled in."""
    about = (await api.get("/v1/functions/mail.send")).json()

    assert about["description"].startswith("Send one letter.")
    assert (about["queue"], about["runs_in"]) == ("mail", "loop")
    assert about["arguments"]["required"] == ["message"]
    assert about["result"]["properties"]["id"]["type"] == "string"
    assert about["policy"] == {
        "max_tries": 6,
        "timeout": 30,
        "keep_result": 60,
        "retries_exceptions": True,
        "backoff": {"base": 1, "factor": 2, "limit": 600},
        "loop_budget_ms": None,
        "over_budget": "warn",
    }
    assert about["links"] == {"self": "/v1/functions/mail.send", "jobs": "/v1/functions/mail.send/jobs"}


async def test_a_function_without_a_policy_shows_the_worker_s(api, settings):
    """Where a function says nothing, its document has what the settings say."""
    policy = (await api.get("/v1/functions/numbers.add")).json()["policy"]

    assert policy["max_tries"] == settings.max_tries
    assert (policy["timeout"], policy["keep_result"]) == (settings.job_timeout, settings.keep_result)


async def test_recent_endings_are_counted(api, enqueue, worker):
    """A function's document counts how its jobs ended lately."""
    for _ in range(2):
        await enqueue()
    await worker.succeed(await worker.start(), b"3")
    await worker.fail(await worker.start(), ErrorInfo("ValueError", "no"))
    about = (await api.get("/v1/functions/numbers.add")).json()

    assert about["recent"] == {"succeeded": 1, "dead": 1}


async def test_an_unknown_function_has_no_document(api):
    """A name that no function has is a 404 with the nearest one."""
    response = await api.get("/v1/functions/number.add")

    assert is_problem(response, 404, "unknown-function")
    assert "did you mean 'numbers.add'?" in response.json()["detail"]
