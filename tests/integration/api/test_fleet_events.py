"""Following all jobs by server-sent events."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from integration.api.support import is_problem
from integration.api.test_events import following
from offload.api import sse
from offload.api.routes import events as events_module

ADD = "/v1/functions/numbers.add/jobs"
ARGS = {"a": 1, "b": 2}


async def put(client, function="numbers.add", **query):
    """Put one job in over HTTP and return its document."""
    args = ARGS if function == "numbers.add" else {}
    response = await client.post(f"/v1/functions/{function}/jobs", json=args, params=query)
    assert response.status_code == 202, response.text
    return response.json()


async def test_all_jobs_are_followed(served, worker):
    """A stream tells what happens to every job from now on, each event with its job, queue and function."""
    await put(served)
    await worker.succeed(await worker.start(), b"3")
    async with following(served, "/v1/events") as next_event:
        first, second = await put(served), await put(served, "demo.beat")
        claimed = await worker.start()
        await worker.note(claimed, "progress", {"fraction": 0.5, "message": "half"})
        await worker.succeed(claimed, b"3")
        seen = [await next_event() for _ in range(5)]

    assert [(event.name, event.data["job_id"]) for event in seen] == [
        ("queued", first["id"]), ("queued", second["id"]),
        ("running", first["id"]), ("progress", first["id"]), ("succeeded", first["id"]),
    ]  # fmt: skip
    assert {event.data["function"] for event in seen} == {"numbers.add", "demo.beat"}
    assert {event.data["queue"] for event in seen} == {"default"}
    assert all(event.id and event.data["at"].endswith("Z") for event in seen)
    assert next_event.response.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    "query",
    [{"function": "demo.beat"}, {"queue": "mail"}, {"function": ["demo.beat", "digest.pbkdf2"], "queue": "mail"}],
)
async def test_a_stream_can_be_of_some_functions_or_queues(served, query):
    """Only events of jobs that fit every filter come."""
    async with AsyncExitStack() as stack:
        path = str(served.build_request("GET", "/v1/events", params=query).url)
        next_event = await stack.enter_async_context(following(served, path))
        await put(served)
        wanted = await put(served, "demo.beat", queue="mail")
        event = await next_event()

    assert (event.name, event.data["job_id"]) == ("queued", wanted["id"])


async def test_a_stream_can_be_of_some_events(served, worker):
    """`event` names those that are wanted, and may be given several times."""
    async with following(served, "/v1/events?event=dead&event=succeeded") as next_event:
        job = await put(served)
        await worker.succeed(await worker.start(), b"3")
        event = await next_event()

    assert (event.name, event.data["job_id"]) == ("succeeded", job["id"])


@pytest.mark.parametrize(
    "query", ["event=sneezed", "job=1", "limit=1", "last_event_id=x", "last_event_id=99999999999999999999-0"]
)
async def test_what_is_no_filter_is_422(api, query):
    """A misspelt filter would show everything, so it is refused."""
    assert is_problem(await api.get(f"/v1/events?{query}"), 422, "invalid-parameters")


@pytest.mark.parametrize("by", ["header", "query"])
async def test_a_reader_goes_on_after_the_event_it_saw(served, worker, by):
    """`Last-Event-ID`, as header or query, brings what happened meanwhile, nothing twice, and then what happens."""
    async with following(served, "/v1/events") as next_event:
        await put(served)
        seen = await next_event()
    missed = await put(served)
    path, headers = ("/v1/events", {"Last-Event-ID": seen.id})
    if by == "query":
        path, headers = (f"/v1/events?last_event_id={seen.id}", {})
    async with following(served, path, **headers) as next_event:
        replayed = await next_event()
        new = await put(served)
        live = await next_event()

    assert (replayed.data["job_id"], live.data["job_id"]) == (missed["id"], new["id"])


async def test_a_reader_that_was_away_too_long_is_told(served, redis_client):
    """Where the feed does not reach back far enough the first event says that something is missed."""
    async with following(served, "/v1/events") as next_event:
        await put(served)
        seen = await next_event()
    await put(served)
    await redis_client.xtrim("offload:events", maxlen=0)
    last = await put(served)
    async with following(served, "/v1/events", **{"Last-Event-ID": seen.id}) as next_event:
        told, kept = await next_event(), await next_event()

    assert (told.name, told.data["count"], told.id) == ("missed", None, None)
    assert kept.data["job_id"] == last["id"]


async def test_a_reader_that_does_not_read_is_told_how_much_it_missed(served, redis_client):
    """While a client does not read nothing piles up for it; when it reads again it is told how many events it lost."""
    host, port = served.base_url.host, served.base_url.port
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(client, (host, port))
        await loop.sock_sendall(client, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await loop.sock_recv(client, 100)
        message = "x" * 8_000
        async with following(served, "/v1/events?event=queued") as next_event:
            for _ in range(80):
                pipe = redis_client.pipeline(transaction=False)
                for _ in range(40):
                    pipe.xadd("offload:events", {"e": f'[{{"event":"log","id":"j","at":1,"message":"{message}"}}]'})
                await pipe.execute()
            await put(served)
            await next_event()  # so all that was before it has been told, or been dropped
        text = bytearray()
        async with asyncio.timeout(20):
            while b'"count":' not in text:
                text += await loop.sock_recv(client, 1 << 20)
        told = text[text.index(b"event: missed") :]
    finally:
        client.close()

    assert head.startswith(b"HTTP/1.1 200")
    assert int(told.partition(b'"count":')[2].partition(b"}")[0]) > 0


async def test_an_event_is_encoded_once_for_all_who_hear_it(served, monkeypatch):
    """Thirty readers of an event cost one encoding."""
    encoded = []
    original = sse.described
    monkeypatch.setattr(sse, "described", lambda event: encoded.append(event.id) or original(event))
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(following(served, "/v1/events")) for _ in range(30)]
        await put(served)
        heard = [await next_event() for next_event in readers]

    assert len({event.id for event in heard}) == 1
    assert encoded == [heard[0].id]


async def test_a_quiet_stream_says_that_it_is_there(served, monkeypatch):
    """A comment comes after a quiet while, so that no proxy closes the connection."""
    monkeypatch.setattr(events_module, "KEEP_ALIVE_S", 0.05)
    async with following(served, "/v1/events") as next_event:
        quiet = await next_event()

    assert (quiet.name, quiet.comment) == (None, "keep-alive")


async def test_one_connection_to_redis_reads_for_all_streams(served, redis_client):
    """Forty streams, of one job and of all, are one blocking read."""
    job = await put(served)
    async with AsyncExitStack() as stack:
        for path in ("/v1/events", job["links"]["events"]) * 20:
            await stack.enter_async_context(following(served, path))
        await put(served)
        reading = [one for one in await redis_client.client_list() if one["cmd"] == "xread"]

    assert len(reading) <= 1


async def test_a_job_that_many_follow_is_read_once_at_its_end(served, worker, monkeypatch):
    """The document in the terminal event is asked for once, whoever follows the job."""
    job = await put(served)
    inspector, asked = served.app.state.offload.inspector, []
    async with AsyncExitStack() as stack:
        path = job["links"]["events"]
        readers = [await stack.enter_async_context(following(served, path)) for _ in range(20)]
        for next_event in readers:
            await next_event()
        get = inspector.get
        monkeypatch.setattr(inspector, "get", lambda job_id: asked.append(job_id) or get(job_id))
        await worker.succeed(await worker.start(), b"3")
        ends = [[await next_event() for _ in range(2)][-1] for next_event in readers]

    assert {event.name for event in ends} == {"succeeded"}
    assert all(event.data["job"]["result"] is None or event.data["job"]["result"] == 3 for event in ends)
    assert asked == [job["id"]]


async def test_a_job_that_is_followed_over_a_gap_tells_its_state(served, worker, redis_client):
    """Where the feed lost what a reader missed, the reader is told so and gets the state as it is."""
    job = await put(served)
    async with following(served, job["links"]["events"]) as next_event:
        seen = await next_event()
        claimed = await worker.start()
        await next_event()
    await redis_client.xtrim("offload:events", maxlen=0)
    async with following(served, job["links"]["events"], **{"Last-Event-ID": seen.id}) as next_event:
        told, state = await next_event(), await next_event()
        await worker.succeed(claimed, b"3")

    assert (told.name, state.name) == ("missed", "running")


async def test_nothing_listens_any_more_when_clients_are_gone(served):
    """Readers of streams go with their clients."""
    feed = served.app.state.offload.inspector._feed
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(following(served, "/v1/events"))
        there = len(feed._channels)
    async with asyncio.timeout(5):
        while feed._channels:  # noqa: ASYNC110 - the last one to go sets no event
            await asyncio.sleep(0.01)

    assert there == 1
