"""Following one job by server-sent events."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from integration.api.support import is_problem
from offload.api.routes import events as events_module
from offload.domain.errors import ErrorInfo
from offload.store.feed.stream import Feed


@dataclass
class Sent:
    """One event as it came over the wire; `comment` for what is none."""

    id: str | None = None
    name: str | None = None
    data: dict | None = None
    comment: str | None = None


def parse(block):
    """Read one block of a stream."""
    sent = Sent()
    for line in block.splitlines():
        field, _, value = line.partition(": ")
        match field:
            case "id":
                sent.id = value
            case "event":
                sent.name = value
            case "data":
                sent.data = json.loads(value)
            case "":
                sent.comment = value
    return sent


def all_of(response):
    """Every event of a stream that has ended."""
    return [parse(block) for block in response.text.split("\n\n") if block]


@asynccontextmanager
async def following(client, path, **headers):
    """A stream that is still open: calling what this yields waits for the next event."""
    async with asyncio.timeout(10), client.stream("GET", path, headers=headers) as response:
        lines = response.aiter_lines()

        async def next_event():
            block = []
            async for line in lines:
                if not line:
                    break
                block.append(line)
            return parse("\n".join(block)) if block else None

        next_event.response = response
        yield next_event


async def test_a_job_is_followed_from_its_state_to_its_end(served, redis_client, worker):
    """A stream tells first the state the job is in, then each state, progress and log line, and ends after the last."""
    job = (await served.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
    seen = []
    async with following(served, job["links"]["events"]) as next_event:
        seen.append(await next_event())
        claimed = await worker.start()
        await worker.note(claimed, "progress", {"fraction": 0.5, "message": "half"})
        await worker.note(claimed, "log", {"level": "info", "message": "hello"})
        await worker.succeed(claimed, b"3")
        while event := await next_event():
            seen.append(event)

    assert [event.name for event in seen] == ["queued", "running", "progress", "log", "succeeded"]
    assert next_event.response.headers["content-type"].startswith("text/event-stream")
    assert all(event.data["job_id"] == job["id"] and event.data["at"].endswith("Z") for event in seen)
    assert (seen[1].data["attempt"], seen[1].data["worker"]) == (1, "stand-in")
    assert (seen[2].data["fraction"], seen[2].data["message"]) == (0.5, "half")
    assert seen[3].data["message"] == "hello"


async def test_the_terminal_event_has_the_whole_document(api, enqueue, worker):
    """Who follows a job to its end needs no further call."""
    job = await enqueue()
    await worker.succeed(await worker.start(), b"3")
    document = (await api.get(f"/v1/jobs/{job['id']}")).json()
    (event,) = all_of(await api.get(f"/v1/jobs/{job['id']}/events"))

    assert event.name == "succeeded"
    assert event.data["job"] == document


async def test_a_retry_tells_when_it_is_due(served, worker):
    """The event `retrying` has the time of the next attempt, as RFC 3339."""
    job = (await served.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
    claimed = await worker.start()
    async with following(served, job["links"]["events"]) as next_event:
        first = await next_event()
        await worker.fail(claimed, ErrorInfo("ValueError", "no"), verb="retry", due_ms=4_000_000_000_000)
        second = await next_event()

    assert (first.name, second.name) == ("running", "retrying")
    assert second.data["run_at"] == "2096-10-02T07:06:40.000Z"


@pytest.mark.parametrize("by", ["header", "query"])
async def test_a_reader_resumes_after_the_event_it_saw(served, worker, by):
    """`Last-Event-ID`, as header or query, brings what was missed and nothing twice."""
    job = (await served.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
    async with following(served, job["links"]["events"]) as next_event:
        await next_event()
        claimed = await worker.start()
        seen = await next_event()
    await worker.note(claimed, "progress", {"fraction": 1.0, "message": "done"})
    await worker.succeed(claimed, b"3")
    given = {"headers": {"Last-Event-ID": seen.id}} if by == "header" else {"params": {"last_event_id": seen.id}}
    missed = all_of(await served.get(job["links"]["events"], **given))

    assert seen.name == "running"
    assert [event.name for event in missed] == ["progress", "succeeded"]


async def test_a_reader_resumes_though_its_process_has_not_read_that_far(api, enqueue, worker, monkeypatch):
    """What came between the event a reader saw and the job's end is told by a process whose own reading lags, too."""

    async def not_yet(self):
        self._last = "0-0"

    monkeypatch.setattr(Feed, "_start", not_yet)
    job = await enqueue()
    claimed = await worker.start()
    await worker.note(claimed, "progress", {"fraction": 1.0, "message": "done"})
    await worker.succeed(claimed, b"3")
    told = all_of(await api.get(job["links"]["events"], headers={"Last-Event-ID": "0-0.0"}))

    assert [event.name for event in told] == ["queued", "running", "progress", "succeeded"]


async def test_a_browser_that_reconnects_after_the_end_is_told_to_stop(api, enqueue, worker):
    """An EventSource connects again by itself after the terminal event; 204 is the word that ends it."""
    job = await enqueue()
    await worker.succeed(await worker.start(), b"3")
    (last,) = all_of(await api.get(f"/v1/jobs/{job['id']}/events"))
    again = await api.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": last.id})

    assert again.status_code == 204
    assert again.content == b""


async def test_a_replayed_job_can_be_followed_after_its_first_end(served, worker):
    """A reader that saw a job die, and comes back after its replay, sees its second life."""
    job = (await served.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
    await worker.fail(await worker.start(), ErrorInfo("ValueError", "no"))
    (last,) = all_of(await served.get(job["links"]["events"]))
    async with following(served, job["links"]["events"]) as next_event:
        live = await next_event()
    await served.post(f"/v1/jobs/{job['id']}/retry")
    await worker.succeed(await worker.start(), b"3")
    second = all_of(await served.get(job["links"]["events"], headers={"Last-Event-ID": live.id}))

    assert last.name == live.name == "dead"
    assert second[-1].name == "succeeded"


async def test_a_quiet_stream_is_kept_alive(served, monkeypatch):
    """When nothing happens for a while a comment is sent, so that no proxy takes the stream for dead."""
    monkeypatch.setattr(events_module, "KEEP_ALIVE_S", 0.02)
    job = (await served.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
    async with following(served, job["links"]["events"]) as next_event:
        first, second = await next_event(), await next_event()

    assert first.name == "queued"
    assert (second.name, second.comment) == (None, "keep-alive")


@pytest.mark.parametrize("event_id", ["garbage", "1-x"])
async def test_a_made_up_event_id_is_422(api, enqueue, event_id):
    """An id that no event can have is refused, not taken for the beginning."""
    job = await enqueue()
    response = await api.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": event_id})

    assert is_problem(response, 422, "invalid-parameters")


async def test_a_client_that_leaves_takes_its_reader_along(served, monkeypatch):
    """When the client is gone nothing listens for it any more."""
    job = (await served.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
    inspector, closed = served.app.state.offload.inspector, asyncio.Event()
    follow = inspector.events

    async def watched(*args):
        try:
            async for event in follow(*args):
                yield event
        finally:
            closed.set()

    monkeypatch.setattr(inspector, "events", watched)
    async with following(served, job["links"]["events"]) as next_event:
        await next_event()
        was_closed = closed.is_set()
    async with asyncio.timeout(5):
        await closed.wait()

    assert not was_closed
