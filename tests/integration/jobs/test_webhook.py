"""webhook.deliver against a real receiver that checks signatures with the reference library."""

import base64
import json

import pytest
from standardwebhooks import Webhook as Verifier

from offload import GiveUp, Retry
from offload.domain.errors import InvalidArguments
from offload.jobs.webhook import deliver

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(64))).decode()


@pytest.fixture
def delivering(run_job):
    """Let jobs reach the receiver on loopback."""
    run_job.configure(allow_private_addresses=True)
    return run_job


def event(web, **changes):
    """Return a webhook that is right, but for the changes."""
    payload = {"type": "job.succeeded", "data": {"n": 1, "text": "Grüße"}}
    return {"url": web.url("/hook"), "payload": payload, "secrets": [SECRET], **changes}


@pytest.mark.parametrize("secret", [SECRET, OTHER])
async def test_either_secret_verifies_the_delivery(delivering, web, secret):
    """A receiver that holds either of the two secrets can verify the signature and read the payload."""
    web.answer("/hook", 202, body=b"thanks")
    delivery = await delivering(deliver, webhook=event(web, secrets=[SECRET, OTHER]))
    [seen] = web.seen

    assert Verifier(secret).verify(seen.body, seen.headers) == event(web)["payload"]
    assert (seen.method, seen.headers["content-type"]) == ("POST", "application/json")
    assert (delivery.status, delivery.response, delivery.attempt) == (202, "thanks", 1)
    assert delivery.webhook_id == seen.headers["webhook-id"]


async def test_every_attempt_has_the_same_id_and_body(delivering, web):
    """A repeated attempt carries the same webhook-id and the same bytes, so a receiver can drop it."""
    web.answer("/hook")
    await delivering(deliver, webhook=event(web))
    delivering.attempt = 2
    await delivering(deliver, webhook=event(web))
    first, second = web.seen

    assert first.headers["webhook-id"] == second.headers["webhook-id"] == f"msg_{delivering.job_id}"
    assert first.body == second.body


async def test_the_caller_may_name_the_event(delivering, web):
    """An id of the caller's is sent as it is; its own headers are sent along, but never instead of the signature."""
    web.answer("/hook")
    await delivering(deliver, webhook=event(web, id="evt_7", headers={"X-A": "b", "Webhook-Id": "forged"}))
    [seen] = web.seen

    assert (seen.headers["webhook-id"], seen.headers["x-a"]) == ("evt_7", "b")
    assert json.loads(seen.body) == Verifier(SECRET).verify(seen.body, seen.headers)


@pytest.mark.parametrize(("status", "said"), [(410, "gone permanently"), (400, "400 Bad Request"), (401, "401")])
async def test_an_answer_that_will_not_change_ends_the_job(delivering, web, status, said):
    """410 and every other 4xx end the job with the receiver's answer."""
    web.answer("/hook", status)

    with pytest.raises(GiveUp, match=said):
        await delivering(deliver, webhook=event(web))


@pytest.mark.parametrize(("status", "after"), [(429, 12.0), (503, 12.0), (500, None), (502, None)])
async def test_trouble_that_may_pass_is_tried_again(delivering, web, status, after):
    """429 and 5xx are retried, after the time in Retry-After where 429 or 503 give one."""
    web.answer("/hook", status, {"Retry-After": "12"})

    with pytest.raises(Retry, match=str(status)) as caught:
        await delivering(deliver, webhook=event(web))
    assert caught.value.after == after


async def test_a_redirect_is_not_followed(delivering, web):
    """A redirect ends the job and names where the receiver has gone."""
    web.answer("/hook", 308, {"Location": "https://elsewhere.example/"})

    with pytest.raises(GiveUp, match=r"redirects are not followed.*https://elsewhere\.example/"):
        await delivering(deliver, webhook=event(web))
    assert len(web.seen) == 1


async def test_a_silent_receiver_is_tried_again(delivering, web):
    """No answer in time is retried."""
    web.routes["/hook"] = lambda *_: web.closing.wait() and None

    with pytest.raises(Retry, match=r"(did not respond within 0\.2 s|ReadTimeout)"):
        await delivering(deliver, webhook=event(web, timeout=0.2))


async def test_a_receiver_that_hangs_up_is_tried_again(delivering, web):
    """A connection that is closed without an answer is retried."""
    web.routes["/hook"] = lambda *_: None

    with pytest.raises(Retry, match="RemoteProtocolError"):
        await delivering(deliver, webhook=event(web))


async def test_a_private_receiver_ends_the_job(run_job, web):
    """Webhooks go to public addresses only."""
    with pytest.raises(GiveUp, match="loopback"):
        await run_job(deliver, webhook=event(web))
    assert web.seen == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"secrets": []}, "webhook.secrets"),
        ({"secrets": [SECRET] * 3}, "webhook.secrets"),
        ({"secrets": ["hunter2hunter2hunter2hunter2"]}, "webhook.secrets.0"),
        ({"secrets": ["whsec_c2hvcnQ="]}, "webhook.secrets.0"),
        ({"secrets": ["whsec_***"]}, "webhook.secrets.0"),
        ({"id": "a b"}, "webhook.id"),
        ({"url": "ftp://example.com"}, "webhook.url"),
    ],
)
async def test_a_webhook_that_cannot_be_right_is_refused_at_once(delivering, web, changes, path):
    """Bad secrets, ids and URLs are refused with the path of the field; the secret is not repeated."""
    with pytest.raises(InvalidArguments) as caught:
        await delivering(deliver, webhook=event(web, **changes))
    assert [fault.path for fault in caught.value.fields] == [path]
    assert "hunter2" not in str(caught.value)
