"""What both clients make of an API that is away, of answers that are lost, and of streams that are cut."""

import asyncio
import socket

import pytest

from integration.api.support import serving, settings_for
from offload import sdk
from offload.app import create_app
from support.faulty_proxy import proxy_of
from support.server import restartable

AWAY = (
    "say:HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 0\r\n"
    'Content-Length: 44\r\n\r\n{"type":"/problems/redis-unavailable","a":1}'
)


async def test_an_enqueue_whose_answer_was_lost_adds_one_job(calling, address):
    """The job is stored, the connection breaks before the answer: the call is repeated, and there is one job."""
    async with proxy_of(address, "lose", "lose") as proxy:
        job = await calling(proxy.address).enqueue("numbers.add", {"a": 1, "b": 2})
        stored = [one["id"] async for one in calling(address).list()]

    assert stored == [job["id"]]
    assert proxy.met == ["lose", "lose", "pass"]


async def test_a_batch_whose_answer_was_lost_adds_its_jobs_once(calling, address):
    """As one job, so many: all are there once, in their order."""
    async with proxy_of(address, "lose") as proxy:
        jobs = await calling(proxy.address).enqueue_many([{"function": "demo.beat"}] * 10)
        stored = {one["id"] async for one in calling(address).list()}

    assert len(jobs) == 10
    assert stored == {job["id"] for job in jobs}


async def test_a_service_that_is_away_for_a_moment_is_called_again(calling, address):
    """A 503 first, then a refused connection, then the answer: the caller sees the answer alone."""
    async with proxy_of(address, AWAY, "refuse") as proxy:
        job = await calling(proxy.address).enqueue("numbers.add", {"a": 1, "b": 2})

    assert job["status"] == "queued"
    assert proxy.met == ["say", "refuse", "pass"]


async def test_what_stays_away_is_told(calling, address):
    """With no retries left, TryLater says what the service said, and Unreachable that nobody answered."""
    async with proxy_of(address, AWAY, AWAY, "refuse") as proxy:
        with pytest.raises(sdk.TryLater) as refused:
            await calling(proxy.address, retries=1).get("a")
        with pytest.raises(sdk.Unreachable) as unheard:
            await calling(proxy.address, retries=0).get("a")

    assert (refused.value.status, refused.value.type) == (503, "/problems/redis-unavailable")
    assert unheard.value.status == 0


async def test_a_stream_that_is_cut_in_the_middle_goes_on(calling, address, worker):
    """Events come in order, none is missed and none twice, though the connection breaks after some bytes of them."""
    job = await calling(address).enqueue("numbers.add", {"a": 1, "b": 2})
    seen = []
    async with proxy_of(address, "cut:700", "cut:400", "refuse") as proxy:
        async for event in calling(proxy.address).events(job["id"]):
            seen.append(event)
            if len(seen) == 1:
                claimed = await worker.start()
                for n in range(10):
                    await worker.note(claimed, "progress", {"fraction": n / 10, "message": f"step {n}"})
                await worker.succeed(claimed, b"3")

    assert [event.name for event in seen] == ["queued", "running", *["progress"] * 10, "succeeded"]
    assert [event.data["message"] for event in seen[2:-1]] == [f"step {n}" for n in range(10)]
    assert proxy.met[:3] == ["cut", "cut", "refuse"]


async def test_a_line_separator_in_what_a_job_says_breaks_no_event(offload, worker):
    """U+2028 is a line's end to Unicode and to httpx, and none to server-sent events."""
    job = await offload.enqueue("numbers.add", {"a": 1, "b": 2})
    claimed = await worker.start()
    await worker.note(claimed, "log", {"level": "info", "message": "one\u2028two\x85three"})
    await worker.succeed(claimed, b"3")
    events = [event async for event in offload.events(job["id"], last_event_id="0-0.0")]

    assert [event.data["message"] for event in events if event.name == "log"] == ["one\u2028two\x85three"]


async def test_leaving_a_stream_closes_its_connection(calling, address):
    """Who stops listening holds no connection, and can go on with other calls."""
    offload = calling(address)
    job = await offload.enqueue("numbers.add", {"a": 1, "b": 2})
    events = offload.events(job["id"])
    first = await anext(events)
    await events.aclose()
    again = await offload.get(job["id"])

    assert (first.name, again["id"]) == ("queued", job["id"])


async def test_a_service_that_says_nothing_is_given_up(calling):
    """The timeout holds for an address that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(sdk.Unreachable, match="ReadTimeout"):
            await calling(address, timeout=0.05, retries=1).get("a")


async def test_a_wrong_key_is_told_and_never_shown(calling, redis, redis_server, catalogue, tmp_path):
    """The key goes with each call; a wrong one is NotAllowed, and no error or repr has it."""
    settings = settings_for(redis_server.url, tmp_path, api_keys=["right-key-of-some-length"])
    async with serving(create_app(settings, catalogue)) as address:
        functions = await calling(address, "right-key-of-some-length").functions()
        with pytest.raises(sdk.NotAllowed) as raised:
            await calling(address, "wrong-key").functions()

    assert functions
    assert raised.value.status == 401
    assert "wrong-key" not in f"{raised.value!r} {raised.value}"


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "localhost", "ftp://x", ""])
def test_an_address_that_is_none_is_refused_at_once(address):
    """The mistake is told where it is made, not at the first call."""
    with pytest.raises(ValueError, match="base_url"):
        sdk.Offload(address)
    with pytest.raises(ValueError, match="base_url"):
        sdk.OffloadSync(address)


async def test_an_api_that_is_replaced_ends_no_wait_and_no_stream(calling, redis, settings, catalogue, worker):
    """While one API process stops and another starts, who waits and who listens notices nothing."""
    seen, listening = [], asyncio.Event()

    async def follow_events(job_id):
        async for event in offload.events(job_id):
            seen.append(event.name)
            listening.set()

    async with proxy_of("http://127.0.0.1:0") as proxy, asyncio.timeout(30), asyncio.TaskGroup() as group:
        offload = calling(proxy.address)
        async with serving(create_app(settings, catalogue)) as first:
            proxy.lead_to(first)
            job = await offload.enqueue("numbers.add", {"a": 1, "b": 2})
            waiting = group.create_task(offload.wait(job["id"], 20))
            listener = group.create_task(follow_events(job["id"]))
            await listening.wait()
        await worker.succeed(await worker.start(), b"3")
        async with serving(create_app(settings, catalogue)) as second:
            proxy.lead_to(second)
            ended = await waiting
            await listener

    assert ended["result"] == 3
    assert seen == ["queued", "running", "succeeded"]


async def test_a_redis_that_is_away_for_a_moment_only_delays_a_call(calling, catalogue, tmp_path):
    """The API answers 503 while Redis is away; the call is repeated until Redis is back, and adds one job."""
    with restartable() as server:
        settings = settings_for(server.url, tmp_path)
        async with serving(create_app(settings, catalogue)) as address, asyncio.TaskGroup() as group:
            offload = calling(address)
            await offload.enqueue("demo.beat", tags=["before"])
            server.kill()
            with pytest.raises(sdk.TryLater) as away:
                await calling(address, retries=0).enqueue("demo.beat")
            enqueued = group.create_task(offload.enqueue("demo.beat", tags=["meanwhile"]))
            await asyncio.to_thread(server.start)
            job = await enqueued
            stored = [one["id"] async for one in offload.list(tag="meanwhile")]

    assert (away.value.type, away.value.retry_after) == ("/problems/redis-unavailable", 2)
    assert stored == [job["id"]]
