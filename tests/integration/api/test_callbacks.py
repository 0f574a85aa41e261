"""`callback_url` on enqueue: what is taken, what is refused and why, and where the callback can be looked at."""

import base64

import pytest
from pydantic import SecretStr

from integration.api.support import calling, functions_of_the_tests, is_problem, settings_for
from offload.domain.catalogue import Catalogue
from offload.jobs.callback import callback

SECRET = SecretStr("whsec_" + base64.b64encode(bytes(range(32))).decode())
URL = "https://receiver.example/hooks?job=1"


@pytest.fixture(scope="session")
def catalogue():
    """The functions of the other tests, and the one that delivers callbacks."""
    found = functions_of_the_tests()
    return Catalogue({**found.functions, callback.name: callback}, found.queues)


@pytest.fixture
def settings(redis_server, tmp_path):
    """An API that has a secret to sign with."""
    return settings_for(redis_server.url, tmp_path, webhook_secrets=[SECRET])


async def test_a_callback_is_taken_and_linked_from_the_job(api, enqueue, worker):
    """The document has the URL at once and, when the job has ended, a link to the job that tells of it."""
    job = await enqueue(callback_url=URL)
    before = (await api.get(job["links"]["self"])).json()
    await worker.succeed(await worker.start(), b"3")
    after = (await api.get(job["links"]["self"])).json()
    told = (await api.get(after["links"]["callback"])).json()

    assert job["callback_url"] == before["callback_url"] == URL
    assert "callback" not in before["links"]
    assert (told["function"], told["queue"], told["status"]) == ("webhook.callback", "webhook", "queued")
    assert (told["parent"], told["args"], told["max_tries"]) == (job["id"], {"url": URL}, 10)
    assert told["id"] == f"callback:{job['id']}:1"


async def test_a_callback_is_found_and_stopped_like_any_job(api, enqueue, worker):
    """It stands in the lists, and can be aborted, retried and waited for under its id."""
    job = await enqueue(callback_url=URL)
    await api.post(job["links"]["abort"])
    [told] = (await api.get("/v1/jobs", params={"function": "webhook.callback"})).json()["items"]
    aborted = await api.post(told["links"]["abort"])
    retried = await api.post(aborted.json()["links"]["retry"])

    assert (aborted.json()["status"], retried.json()["status"]) == ("aborted", "queued")


async def test_a_job_of_a_batch_may_have_one(api):
    """Each job of its own."""
    jobs = [{"function": "numbers.add", "args": {"a": 1, "b": 2}, "options": {"callback_url": URL}}]
    response = await api.post("/v1/jobs", json={"jobs": jobs})

    assert response.status_code == 202, response.text
    assert response.json()["items"][0]["callback_url"] == URL


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://receiver.example/", "complete http"),
        ("https://user:secret@receiver.example/", "must not contain a user or password"),
        ("https://receiver.example/" + "a" * 2000, "2000 characters"),
        ("http://127.0.0.1:8000/", "loopback"),
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("http://[::1]/", "loopback"),
        ("https://receiver.example\\@127.0.0.1/", "must not contain a user or password"),
        ("", "complete http"),
    ],
)
async def test_a_url_that_cannot_be_called_is_refused_with_its_field(api, url, said):
    """A wrong scheme, credentials, too long, literally private: 422 for the option, single and in a batch."""
    args = {"a": 1, "b": 2}
    single = await api.post("/v1/functions/numbers.add/jobs", json=args, params={"callback_url": url})
    jobs = [{"function": "numbers.add", "args": args, "options": {"callback_url": url}}]
    batch = await api.post("/v1/jobs", json={"jobs": jobs})

    assert is_problem(single, 422, "invalid-parameters")
    assert [fault["path"] for fault in single.json()["errors"]] == ["callback_url"]
    assert said in single.json()["errors"][0]["message"]
    assert is_problem(batch, 422, "invalid-batch")
    assert [fault["path"] for fault in batch.json()["errors"]] == ["jobs.0.options.callback_url"]
    assert "secret@" not in single.text + batch.text


async def test_a_private_address_is_taken_where_that_is_allowed(settings, catalogue, redis_client):
    """OFFLOAD_ALLOW_PRIVATE_ADDRESSES, as for delivery."""
    allowing = settings.model_copy(update={"allow_private_addresses": True})
    async with calling(allowing, catalogue) as api:
        query = {"callback_url": "http://127.0.0.1/"}
        response = await api.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2}, params=query)

    assert response.status_code == 202


@pytest.mark.parametrize(
    ("secrets", "known", "said"),
    [([], True, "OFFLOAD_WEBHOOK_SECRETS"), ([SECRET], False, "webhook.callback"), ([], False, "webhook.callback")],
)
async def test_what_is_missing_for_callbacks_is_named(settings, catalogue, redis_client, secrets, known, said):
    """Without a secret, or without the function that delivers, a callback is refused before anything is stored."""
    found = catalogue if known else functions_of_the_tests()
    async with calling(settings.model_copy(update={"webhook_secrets": secrets}), found) as api:
        args, query = {"a": 1, "b": 2}, {"callback_url": URL}
        response = await api.post("/v1/functions/numbers.add/jobs", json=args, params=query)
        listed = (await api.get("/v1/jobs")).json()["items"]

    assert is_problem(response, 422, "invalid-parameters")
    assert [fault["path"] for fault in response.json()["errors"]] == ["callback_url"]
    assert said in response.json()["detail"]
    assert listed == []
