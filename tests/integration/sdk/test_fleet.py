"""The calls about more than one job, by both clients, against a real API."""

import asyncio
from datetime import UTC, datetime
from itertools import count

import pytest

from offload import sdk
from offload.sdk import calls
from offload.store.connection.blocking import connect, portable
from offload.store.connection.connection import settings_of
from offload.store.fleet.stalls import StallWriter
from support.stalls import stall


async def test_a_search_is_iterated_over_page_by_page(offload, monkeypatch):
    """All jobs that fit come, newest first, however many pages they take."""
    monkeypatch.setattr(calls, "PAGE", 2)
    await offload.enqueue_many(
        [{"function": "numbers.add", "args": {"a": n, "b": 0}, "options": {"tags": ["x"]}} for n in range(5)]
        + [{"function": "demo.beat"}]
    )
    found = [job async for job in offload.list(tag="x", status="queued", function="numbers.add")]
    every = [job["function"] async for job in offload.list()]

    assert sorted(job["args"]["a"] for job in found) == [0, 1, 2, 3, 4]
    assert len(every) == 6


async def test_jobs_are_aborted_and_retried_by_a_filter(offload):
    """A dry run counts; the call itself does what it counted."""
    await offload.enqueue_many(
        [{"function": "demo.beat", "options": {"tags": ["x"]}}] * 3 + [{"function": "demo.beat"}]
    )
    counted = await offload.abort_all(tag="x", dry_run=True)
    aborted = await offload.abort_all(tag="x")
    retried = await offload.retry_all(tag="x", status="aborted")
    statuses = [job["status"] async for job in offload.list()]

    assert (counted["matched"], counted["done"], counted["dry_run"]) == (3, 0, True)
    assert (aborted["matched"], aborted["done"], retried["done"]) == (3, 3, 3)
    assert statuses == ["queued"] * 4


async def test_a_queue_is_paused_and_resumed(offload):
    """A paused queue says so, and by whom; there is none where the name is wrong."""
    paused = await offload.pause_queue("mail")
    seen = await offload.queue("mail")
    resumed = await offload.resume_queue("mail")
    with pytest.raises(sdk.NotFound):
        await offload.pause_queue("no-such-queue")

    assert (paused["paused"], seen["paused"], seen["paused_by"], resumed["paused"]) == (True, True, "anonymous", False)
    assert "mail" in {queue["name"] for queue in await offload.queues()}


async def test_what_somebody_did_stands_in_the_audit(offload):
    """The audit can be read by action; an entry is written soon after its call was answered."""
    await offload.pause_queue("mail")
    async with asyncio.timeout(5):
        for _ in count():
            entries = [entry async for entry in offload.audit(action="queue.pause")]
            if entries:
                break

    assert [(entry["who"], entry["target"]) for entry in entries] == [("anonymous", "mail")]


async def test_the_functions_are_listed_with_their_schemas(offload):
    """A program can find out what there is to call, and how."""
    names = [function["name"] for function in await offload.functions()]
    add = await offload.function("numbers.add")
    with pytest.raises(sdk.UnknownFunction):
        await offload.function("numbers.ad")

    assert "mail.send" in names
    assert set(add["arguments"]["required"]) == {"a", "b"}


async def test_the_fleet_is_followed(offload):
    """The feed tells what happens to the jobs of a function from now on, and nothing of others."""
    heard, listening = [], asyncio.Event()

    async def follow_events():
        async for event in offload.feed(functions=["numbers.add"]):
            heard.append(event)
            listening.set()
            if event.name == "aborted":
                return

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(follow_events())
        while not listening.is_set():  # the feed begins when the service has taken it on, which it does not tell
            job = await offload.enqueue("numbers.add", {"a": 1, "b": 2})
        await offload.enqueue("demo.beat")
        await offload.abort(job["id"])

    assert {event.data["function"] for event in heard} == {"numbers.add"}
    assert heard[-1].data["job_id"] == job["id"]


async def test_counts_and_workers_are_told(offload, bench, catalogue):
    """The rest of what there is to see: live workers, and counts by status."""
    await offload.enqueue("numbers.add", {"a": 1, "b": 2}, delay=60)
    async with bench(catalogue=catalogue) as there, there.worker():
        (worker,) = await offload.workers()
    stats = await offload.stats()

    assert "numbers.add" in worker["functions"]
    assert set(worker["loop"]) == set(sdk.LoopDocument.__annotations__)
    assert all(set(one) == set(sdk.ExecutorDocument.__annotations__) for one in worker["executors"])
    assert {(one["queue"], one["kind"]) for one in worker["executors"]} >= {("default", "thread")}
    assert stats["statuses"]["deferred"] == 1


async def test_what_held_an_event_loop_is_told_and_cleared(offload, redis, redis_server):
    """One by one and by cause, those that fit, what lasts just now; cleared, none is left."""
    writer = StallWriter(lambda: connect(portable(settings_of(redis_server.url))), "w1")
    for one in (stall(), stall(worker="w2"), stall(kind="gc", function=None, job_id=None)):
        await asyncio.to_thread(writer.keep, one)
    await asyncio.to_thread(writer.blocked, stall(job_id="j9"), is_news=True)
    await asyncio.to_thread(writer.close)
    every = [one["kind"] async for one in offload.stalls()]
    some = [
        one["worker"] async for one in offload.stalls(function="fetch.page", after=datetime(2026, 1, 1, tzinfo=UTC))
    ]
    groups = [group["count"] async for group in offload.stall_groups()]
    ongoing = await offload.ongoing_stalls()
    cleared = await offload.clear_stalls()
    left = [one async for one in offload.stalls()]

    assert (every, some, groups) == (["gc", "step", "step"], ["w2", "w1"], [2, 1])
    assert [one["job_id"] for one in ongoing] == ["j9"]
    assert (cleared, left) == (3, [])


async def test_a_function_that_cannot_be_moved_is_a_conflict(offload):
    """The message says what would be right; taking back what is not there changes nothing."""
    with pytest.raises(sdk.Conflict, match="only a `def` can be moved"):
        await offload.move_function("numbers.add", "process")
    found = await offload.move_function("numbers.add", None)

    assert (found["runs_in"], found["override"]) == ("loop", None)
