"""Callbacks, from the enqueue of a job to a real receiver that checks signatures with the reference library."""

import asyncio
import base64
import json
import socket

import orjson
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from offload import GiveUp, Retry
from offload.domain import views
from offload.domain.clock import now_ms, rfc3339
from offload.domain.functions import EnqueueOptions, define
from offload.domain.states import Status
from offload.jobs import callback as callback_module
from offload.jobs.callback import PAUSES, callback

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(64))).decode()


async def add(ctx, a: int, password: str = "") -> int:
    """Return the sum, or fail."""
    if a < 0:
        raise ValueError(a)
    return a + 1


async def hang(ctx) -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


async def delegate(ctx, url: str) -> str:
    """Put a job in that has a callback."""
    return (await ctx.enqueue("t.add", EnqueueOptions(callback_url=url), a=1)).id


FUNCTIONS = [
    define(add, name="t.add", max_tries=1),
    define(hang, name="t.hang", timeout=30),
    define(delegate, name="t.delegate"),
    callback,
]


@pytest.fixture
def delivering(run_job):
    """Let callbacks be signed, by two secrets, and reach the receiver on loopback."""
    run_job.configure(allow_private_addresses=True, webhook_secrets=[SecretStr(OTHER), SecretStr(SECRET)])
    return run_job


@pytest.fixture
async def at_work(delivering, bench, web):
    """A worker that knows the jobs of these tests, and a receiver that takes everything."""
    web.answer("/hook", 202)
    async with bench(*FUNCTIONS) as b, b.worker():
        yield b


def to(web, **more):
    return EnqueueOptions(callback_url=web.url("/hook"), **more)


async def told_of(bench, job_id, end=1):
    """Return the job that tells of an end, when that has come and it has ended itself."""
    await bench.ended(job_id)
    return await bench.ended(f"callback:{job_id}:{end}")


# What is sent.


@pytest.mark.parametrize("secret", [SECRET, OTHER])
async def test_a_job_that_succeeds_is_told_of(at_work, web, secret):
    """The receiver gets a signed event with the whole document, the result in it, whichever of two secrets it holds."""
    job = await at_work.run("t.add", to(web), a=1, password="hunter2")
    delivery = await told_of(at_work, job.id)
    [seen] = web.seen
    event = Verifier(secret).verify(seen.body, seen.headers)
    record = await at_work.inspector.get(job.id)

    assert (event["type"], event["timestamp"]) == ("job.succeeded", rfc3339(record.finished_ms))
    assert event["data"] == orjson.loads(orjson.dumps(views.job(record)))
    assert (event["data"]["result"], event["data"]["args"]["password"]) == (2, "**********")
    assert seen.headers["webhook-id"] == delivery.id
    assert delivery.status is Status.SUCCEEDED


async def test_a_tampered_body_does_not_verify(at_work, web):
    """One changed byte, or another time, and the receiver knows."""
    job = await at_work.run("t.add", to(web), a=1)
    await told_of(at_work, job.id)
    [seen] = web.seen

    for body, headers in [
        (seen.body.replace(b'"result":2', b'"result":3'), seen.headers),
        (seen.body, {**seen.headers, "webhook-timestamp": str(now_ms() // 1000 + 60)}),
        (seen.body, {**seen.headers, "webhook-id": "another"}),
    ]:
        with pytest.raises(WebhookVerificationError):
            Verifier(SECRET).verify(body, headers)


async def test_a_job_that_fails_for_good_is_told_of(at_work, web):
    """`job.dead`, with the error."""
    job = await at_work.run("t.add", to(web), a=-1)
    await told_of(at_work, job.id)
    event = json.loads(web.seen[0].body)

    assert (event["type"], event["data"]["error"]["type"]) == ("job.dead", "ValueError")


async def test_a_job_that_is_aborted_is_told_of(at_work, web):
    """`job.aborted`, while it runs and while it waits."""
    running = await at_work.enqueue("t.hang", to(web))
    await at_work.entered(running, "running")
    waiting = await at_work.enqueue("t.add", to(web, delay=60), a=1)
    for one in (running, waiting):
        await at_work.client.abort(one)
        await told_of(at_work, one)

    assert {json.loads(seen.body)["type"] for seen in web.seen} == {"job.aborted"}
    assert {json.loads(seen.body)["data"]["id"] for seen in web.seen} == {running, waiting}


async def test_a_job_past_its_deadline_is_told_of(at_work, web):
    """It never ran, and is dead all the same."""
    job = await at_work.run("t.add", to(web, deadline_ms=now_ms() - 1), a=1)
    await told_of(at_work, job.id)
    event = json.loads(web.seen[0].body)

    assert (event["type"], event["data"]["error"]["type"]) == ("job.dead", "DeadlineExceeded")


async def test_a_replayed_job_is_told_of_again(at_work, web):
    """Each end has a callback of its own, with an id of its own."""
    job = await at_work.run("t.add", to(web), a=-1)
    await told_of(at_work, job.id)
    await at_work.client.retry(job.id)
    await told_of(at_work, job.id, end=2)

    assert [seen.headers["webhook-id"] for seen in web.seen] == [f"callback:{job.id}:{end}" for end in (1, 2)]


async def test_a_job_put_in_by_a_job_may_have_a_callback(at_work, web):
    """`ctx.enqueue` takes the option too."""
    job = await at_work.run("t.delegate", url=web.url("/hook"))
    child = json.loads(job.result)
    await told_of(at_work, child)

    assert json.loads(web.seen[0].body)["data"]["parent"] == job.id


async def test_the_two_jobs_lead_to_each_other(at_work, web):
    """The job links to its callback, whose parent it is; the callback's secrets stand nowhere in Redis."""
    job = await at_work.run("t.add", to(web), a=1)
    delivery = await told_of(at_work, job.id)
    document = views.job(await at_work.inspector.get(job.id))
    stored = [await at_work.redis.dump(key) async for key in at_work.redis.scan_iter()]

    assert document["callback_url"] == web.url("/hook")
    assert document["links"]["callback"] == f"/v1/jobs/callback%3A{job.id}%3A1"
    assert delivery.parent == job.id
    assert not [value for value in stored if value and (SECRET[6:].encode() in value or OTHER[6:].encode() in value)]


async def test_by_default_the_result_is_kept_as_long_as_deliveries_are_tried(at_work, web):
    """A callback that comes late has it too; who says how long it is kept is heeded."""
    job = await at_work.run("t.add", to(web), a=1)
    short = await at_work.run("t.add", to(web, keep_result=60), a=1)
    kept = [await at_work.redis.ttl(f"arq:result:{one.id}") for one in (job, short)]

    assert kept[0] > 3 * 86_400 >= 60 >= kept[1] > 0


# What goes wrong.


async def test_a_receiver_that_fails_twice_gets_it_the_third_time(at_work, web, monkeypatch):
    """The same webhook-id each time, a fresh timestamp and signature; the failed attempts are seen like any job's."""
    monkeypatch.setattr(callback_module, "PAUSES", (0.01,) * 9)
    answers = iter([(500, {}, b""), (404, {}, b"not yet"), (204, {}, b"")])
    web.routes["/hook"] = lambda *_: next(answers)
    job = await at_work.run("t.add", to(web), a=1)
    delivery = await told_of(at_work, job.id)

    assert (delivery.status, delivery.attempt) == (Status.SUCCEEDED, 3)
    assert len({seen.headers["webhook-id"] for seen in web.seen}) == 1
    assert [failed.error.message.split()[0] for failed in delivery.attempts] == ["500", "the"]
    for seen in web.seen:
        Verifier(SECRET).verify(seen.body, seen.headers)


async def test_a_receiver_that_is_gone_is_told_nothing_more(at_work, web):
    """410 ends it at once."""
    web.answer("/hook", 410)
    job = await at_work.run("t.add", to(web), a=1)
    delivery = await told_of(at_work, job.id)

    assert (delivery.status, delivery.attempt) == (Status.DEAD, 1)
    assert "gone permanently" in delivery.error.message


async def test_a_dead_receiver_leaves_a_dead_letter_that_can_be_replayed(at_work, web, monkeypatch):
    """After the last attempt the callback is dead like any job; put back, it is delivered under the same webhook-id."""
    monkeypatch.setattr(callback_module, "PAUSES", (0.001,) * 9)
    web.answer("/hook", 503)
    job = await at_work.run("t.add", to(web), a=1)
    letter = await told_of(at_work, job.id)
    web.answer("/hook", 200)
    await at_work.client.retry(letter.id)
    delivery = await at_work.ended(letter.id)

    assert (letter.status, letter.attempt) == (Status.DEAD, 10)
    assert (delivery.status, delivery.attempt) == (Status.SUCCEEDED, 1)
    assert len({seen.headers["webhook-id"] for seen in web.seen}) == 1
    assert len(web.seen) == 11


async def test_a_job_that_was_replayed_meanwhile_is_shown_as_it_stands(at_work, web):
    """Type and time are those of the end that is told of; the document is that of now."""
    taken = web.routes.pop("/hook")
    job = await at_work.run("t.add", to(web), a=-1)
    await at_work.entered(f"callback:{job.id}:1", "retrying")
    await at_work.redis.hset("offload:queue:default", "paused", 1)
    await at_work.client.retry(job.id)
    web.routes["/hook"] = taken
    await at_work.client.retry(f"callback:{job.id}:1")
    await at_work.ended(f"callback:{job.id}:1")
    event = json.loads(web.seen[-1].body)

    assert (event["type"], event["timestamp"]) == ("job.dead", rfc3339(job.finished_ms))
    assert event["data"]["status"] == "queued"


async def test_a_job_that_is_no_longer_kept_cannot_be_told_of(at_work, web):
    """The callback gives up and says why."""
    web.routes.pop("/hook")
    job = await at_work.run("t.add", to(web), a=1)
    await at_work.entered(f"callback:{job.id}:1", "retrying")
    await at_work.redis.delete(f"offload:job:{job.id}", f"arq:result:{job.id}")
    await at_work.client.retry(f"callback:{job.id}:1")
    delivery = await at_work.ended(f"callback:{job.id}:1")

    assert delivery.status is Status.DEAD
    assert f"no job '{job.id}'" in delivery.error.message


async def test_a_callback_put_in_by_hand_tells_nobody_anything(at_work, web):
    """Whoever may enqueue cannot have a document of their choice signed and sent."""
    asked = EnqueueOptions(job_id="callback:a:1", parent="a")
    delivery = await at_work.run("webhook.callback", asked, url=web.url("/hook"))

    assert (delivery.status, delivery.error.type) == (Status.DEAD, "GiveUp")
    assert web.seen == []


# Where it may go, step by step.


async def test_the_pauses_are_those_of_standard_webhooks():
    """Ten attempts over some three days."""
    assert callback.max_tries == len(PAUSES) + 1 == 10
    assert 3 * 86_400 < sum(PAUSES) < 3.5 * 86_400


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("attempt", [1, 4])
async def test_any_other_answer_is_tried_again_after_the_pause(delivering, web, status, attempt):
    """Redirects and 4xx too: a receiver that is being deployed answers anything."""
    web.answer("/hook", status, {"Location": "/elsewhere"})
    delivering.attempt = attempt

    with pytest.raises(Retry) as caught:
        await delivering(callback, url=web.url("/hook"))
    assert caught.value.after == pytest.approx(PAUSES[attempt - 1], rel=0.1)
    assert [seen.path for seen in web.seen] == ["/hook"]


async def test_a_receiver_may_ask_for_a_longer_pause(delivering, web):
    """`Retry-After` counts where it is longer than the pause."""
    web.answer("/hook", 503, {"Retry-After": "3600"})

    with pytest.raises(Retry) as caught:
        await delivering(callback, url=web.url("/hook"))
    assert caught.value.after == 3600


async def test_a_redirect_to_a_private_address_is_not_followed(delivering, web):
    """Nor is any other: whoever answers for the public name cannot send the callback inside."""
    web.answer("/inside")
    web.answer("/hook", 307, {"Location": web.url("/inside")})

    with pytest.raises(Retry, match="redirects are not followed"):
        await delivering(callback, url=web.url("/hook"))
    assert [seen.path for seen in web.seen] == ["/hook"]


async def test_a_name_that_turns_private_is_refused_when_it_is_delivered(run_job, web, monkeypatch):
    """DNS that answered with a public address before gains nothing: the address that is connected to is checked."""
    run_job.configure(webhook_secrets=[SecretStr(SECRET)])
    asked = []

    def resolver(host, port, *_args, **_kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with pytest.raises(GiveUp, match=r"'rebind.example' resolves to 127.0.0.1 \(loopback\)"):
        await run_job(callback, url=web.url("/hook", host="rebind.example"))
    assert (asked, web.seen) == (["rebind.example"], [])


async def test_a_worker_without_secrets_waits_for_them(run_job, web):
    """It is a mistake of its setting, which somebody can mend while the callback is tried again."""
    run_job.configure(allow_private_addresses=True)

    with pytest.raises(Retry, match="OFFLOAD_WEBHOOK_SECRETS is not set for this worker"):
        await run_job(callback, url=web.url("/hook"))
    assert web.seen == []


async def test_an_id_that_no_header_carries_is_sent_as_a_digest(delivering, web):
    """A program may have chosen the job's id freely."""
    web.answer("/hook")
    delivering.job_id = "callback:Grüße.\r\n:1"
    await delivering(callback, url=web.url("/hook"))
    await delivering(callback, url=web.url("/hook"))
    first, second = (seen.headers["webhook-id"] for seen in web.seen)

    assert first == second
    assert len(first) == len("callback:") + 32
    assert Verifier(SECRET).verify(web.seen[0].body, web.seen[0].headers)
