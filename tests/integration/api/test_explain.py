"""Why is it not running? Each answer on a real Redis."""

import asyncio
import os
import time

import pytest

from integration.api.support import is_problem
from offload import JobContext, Queue, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.clock import now_ms, rfc3339
from offload.domain.errors import ErrorInfo
from offload.domain.explanations import Reason
from offload.store import keys
from offload.store.fleet import queues, workers

LETTER = {"message": {"to": ["a@b.example"], "subject": "x"}}


@pytest.fixture
def explain(api):
    """Ask why a job does not run; return the answer."""

    async def explain(job):
        response = await api.get(f"/v1/jobs/{job['id']}/explain")
        assert response.status_code == 200, response.text
        return response.json()

    return explain


@pytest.fixture
def live(redis_client):
    """Have a worker say that it is there; it knows all and serves `default` and `mail` unless told otherwise."""

    async def live(name="w1", **about):
        known = {"queues": ["default", "mail"], "functions": ["mail.send", "numbers.add"], "slots": 10, "running": 0}
        await workers.heartbeat(redis_client, name, {"id": name, **known, **about})

    return live


async def test_an_unknown_job_is_404(api):
    """Nothing is made up for an id that nobody knows."""
    assert is_problem(await api.get("/v1/jobs/nobody/explain"), 404, "not-found")


async def test_a_job_that_nothing_holds_back_is_next(explain, enqueue, live):
    """With a live worker and nothing before it, a job is the next of its queue."""
    await live()
    why = await explain(await enqueue())

    assert (why["reason"], why["also"], why["position"], why["before"]) == ("next", [], 0, [])
    assert why["workers"] == {"live": 1, "serving": 1, "able": 1, "slots": 10, "running": 0}


async def test_a_job_behind_others_tells_its_place_and_who_is_before_it(explain, enqueue, live):
    """Its place is how many due jobs come first; the first five of them are named with their functions."""
    await live()
    first = [await enqueue() for _ in range(7)]
    why = await explain(await enqueue())

    assert (why["reason"], why["position"]) == ("behind-others", 7)
    assert [one["id"] for one in why["before"]] == [one["id"] for one in first[:5]]
    assert {one["function"] for one in why["before"]} == {"numbers.add"}
    assert first[0]["id"] in why["sentence"]


async def test_a_paused_queue_is_named_with_who_paused_it(api, explain, enqueue, live):
    """Who paused the queue, and since when, is the first thing that a person must know."""
    await live()
    job = await enqueue()
    paused = (await api.post("/v1/queues/default/pause")).json()
    why = await explain(job)

    assert why["reason"] == "queue-paused"
    assert (why["limits"]["paused_by"], why["limits"]["paused_at"]) == ("anonymous", paused["paused_at"])
    assert f"by anonymous since {paused['paused_at']}" in why["sentence"]


async def test_no_live_worker_serves_the_queue(explain, enqueue, live):
    """Neither a worker of other queues, nor none at all, will ever run it."""
    job = await enqueue()
    alone = await explain(job)
    await live(queues=["mail"])
    foreign = await explain(job)

    assert (alone["reason"], alone["workers"]["live"]) == ("no-worker", 0)
    assert (foreign["reason"], foreign["workers"]["live"], foreign["workers"]["serving"]) == ("no-worker", 1, 0)


async def test_no_live_worker_knows_the_function(explain, enqueue, live):
    """Workers that serve the queue but were deployed without the function are told apart from none."""
    await live(functions=["mail.send"])
    why = await explain(await enqueue())

    assert (why["reason"], why["workers"]["serving"], why["workers"]["able"]) == ("unknown-function", 1, 0)
    assert "'numbers.add'" in why["sentence"]


async def test_workers_that_stop_take_nothing_more(explain, enqueue, live):
    """A fleet that is going down is no fleet."""
    await live(stopping=True)
    why = await explain(await enqueue())

    assert why["reason"] == "workers-stopping"


async def test_workers_that_are_full_are_said_to_be(explain, enqueue, live):
    """Where each worker that could run it has all its slots taken, that is why."""
    await live(slots=2, running=2)
    why = await explain(await enqueue())

    assert (why["reason"], why["workers"]["slots"], why["workers"]["running"]) == ("workers-full", 2, 2)


async def test_max_running_names_who_holds_it(explain, enqueue, live, worker, catalogue, redis_client):
    """The jobs that fill a queue's limit are named, with their workers and since when they run."""
    await queues.declare(redis_client, catalogue.queues.values())
    await live()
    holding = [await enqueue("mail.send", LETTER) for _ in range(2)]
    for _ in holding:
        await worker.start("mail")
    why = await explain(await enqueue("mail.send", LETTER))

    assert (why["reason"], why["limits"]["max_running"], why["limits"]["running"]) == ("max-running", 2, 2)
    assert {one["id"] for one in why["limits"]["holders"]} == {one["id"] for one in holding}
    assert {one["worker"] for one in why["limits"]["holders"]} == {"stand-in"}
    assert all(one["since"].endswith("Z") for one in why["limits"]["holders"])


async def test_a_rate_tells_when_the_next_start_is(explain, enqueue, live, worker, redis_client):
    """A queue that has started as many as it may tells when the oldest of these starts no longer counts."""
    await queues.declare(redis_client, [Queue("mail", rate="2/60s")])
    await live()
    for _ in range(3):
        await enqueue("mail.send", LETTER)
    started = await worker.start("mail")
    await worker.succeed(started, b"{}")
    await worker.succeed(await worker.start("mail"), b"{}")
    why = await explain(await enqueue("mail.send", LETTER))

    assert (why["reason"], why["also"]) == ("rate", ["behind-others"])
    assert why["limits"]["next_start_at"] == rfc3339(started.claimed_ms + 60_000)


async def test_a_deferred_job_tells_when_it_is_due(explain, enqueue, live):
    """And what will hold it back then: here, that no worker serves its queue."""
    await live(queues=["mail"])
    job = await enqueue(delay=60)
    why = await explain(job)

    assert (why["reason"], why["also"], why["run_at"]) == ("deferred", ["no-worker"], job["run_at"])
    assert why["position"] is None


async def test_a_retrying_job_tells_when_it_is_tried_again(explain, enqueue, live, worker):
    """With the number of the attempt that failed."""
    await live()
    job = await enqueue("mail.send", LETTER)
    due_ms = now_ms() + 60_000
    await worker.fail(await worker.start("mail"), ErrorInfo("ValueError", "no"), "retry", due_ms)
    why = await explain(job)

    assert (why["reason"], why["run_at"]) == ("retrying", rfc3339(due_ms))
    assert "Attempt 1 of 6 failed" in why["sentence"]


async def test_a_running_job_tells_where_it_runs(explain, enqueue, live, worker):
    """On which worker, since when, and when that was last heard of."""
    await live("stand-in")
    job = await enqueue()
    started = await worker.start()
    why = await explain(job)

    assert (why["reason"], why["worker"]["id"]) == ("running", "stand-in")
    assert why["worker"]["since"] == rfc3339(started.claimed_ms)
    assert why["worker"]["beat_at"].endswith("Z")
    assert "abort requested" not in why["sentence"]


async def test_a_job_whose_worker_lost_its_lease_is_taken_up_again(explain, enqueue, live, worker, redis_client):
    """Where the lease is over it is due again, and whoever had it is named."""
    await live()
    job = await enqueue()
    await worker.start()
    await redis_client.delete(keys.ARQ_IN_PROGRESS + job["id"])
    await redis_client.zadd("arq:queue", {job["id"]: now_ms() - 1})
    why = await explain(job)

    assert (why["reason"], why["also"]) == ("lease-over", ["next"])
    assert "Worker stand-in lost its lease" in why["sentence"]


async def test_a_job_that_a_stock_worker_holds_is_told_apart(explain, enqueue, live, redis_client):
    """A stock arq worker sets a key of its own, and says nothing else."""
    await live()
    job = await enqueue()
    await redis_client.psetex(keys.ARQ_IN_PROGRESS + job["id"], 60_000, b"1")
    why = await explain(job)

    assert why["reason"] == "runs-elsewhere"


async def test_a_job_of_a_stock_producer_is_found_in_its_queue(api, explain, live, redis_client):
    """Such a job has no record that says where it waits, so the known queues are asked."""
    await live()
    await queues.declare(redis_client, [], ["mail"])
    await redis_client.psetex(keys.ARQ_JOB + "stock", 60_000, b'{"t":1,"f":"mail.send","a":[],"k":{},"et":1}')
    nowhere = await explain({"id": "stock"})
    await redis_client.zadd("arq:queue:mail", {"stock": now_ms() - 1})
    why = await explain({"id": "stock"})

    assert nowhere["reason"] == "not-queued"
    assert (why["reason"], why["queue"]) == ("next", "mail")


async def test_the_place_in_a_queue_goes_by_priority(explain, enqueue, live):
    """A job of a higher priority is before those that came first."""
    await live()
    low = await enqueue()
    high = await enqueue(priority=5)
    (below, above) = await explain(low), await explain(high)

    assert (below["position"], [one["id"] for one in below["before"]]) == (1, [high["id"]])
    assert (above["reason"], above["position"]) == ("next", 0)
    assert low["run_at"] <= below["run_at"]


@pytest.mark.parametrize("ending", ["succeeded", "dead", "aborted"])
async def test_an_ended_job_tells_how_it_ended(api, explain, enqueue, worker, ending):
    """With the error where it is dead."""
    job = await enqueue()
    started = await worker.start()
    match ending:
        case "succeeded":
            await worker.succeed(started, b"3")
        case "dead":
            await worker.fail(started, ErrorInfo("ValueError", "no such letter"))
        case _:
            await worker.abort(started)
    why = await explain(job)

    assert (why["reason"], why["status"], why["run_at"]) == (ending, ending, None)
    assert ("no such letter" in why["sentence"]) == (ending == "dead")


def _while_there(ctx, path):
    while os.path.exists(path):  # noqa: PTH110 - as short as can be
        time.sleep(0.005)


@job(name="t.in_thread", queue="cpu")
def in_thread(ctx: JobContext, path: str) -> None:
    _while_there(ctx, path)


@job(name="t.in_process", queue="cpu", runs_in="process")
def in_process(ctx: JobContext, path: str) -> None:
    _while_there(ctx, path)


@pytest.mark.serial  # a child that starts beside many tests has little of a processor
@pytest.mark.parametrize("function", [in_thread, in_process], ids=["thread", "process"])
async def test_a_job_that_waits_in_its_worker_says_for_what(bench, tmp_path, function):
    """A claimed job for which its worker has no free thread, or process, is told apart from one that runs."""
    gate = tmp_path / "gate"
    gate.touch()
    catalogue = Catalogue(of_functions([function]), {"cpu": Queue("cpu", max_running=1)})
    async with bench(catalogue=catalogue) as b, b.worker() as worker:
        await b.redis.hset("offload:queue:cpu", "max_running", 100)  # an operator's word; the threads stay as they are
        worker._engine.executors.appetite = lambda *_: 10
        first, second = [await b.enqueue(function.name, path=str(gate)) for _ in range(2)]
        reasons = await _until(b, [first, second], {"running", f"waits-for-{function.runs_in}"})
        gate.unlink()
        await b.ended(first)
        await b.ended(second)
        left = [await b.redis.hget(keys.RECORD + job_id, "waits_for") for job_id in (first, second)]

    assert {why.facts.waits_for for why in reasons} == {None, function.runs_in}
    assert {why.facts.record.worker for why in reasons} == {worker.worker_id}
    assert left == [None, None]


async def _until(b, ids, wanted):
    async with asyncio.timeout(20):
        while True:
            found = [await b.inspector.explain(one) for one in ids]
            if {why.reason for why in found} == wanted:
                return found
            await asyncio.sleep(0.01)


def test_every_reason_is_in_the_openapi_document(api):
    """Programs can rely on the words: OpenAPI lists each."""
    document = api.app.openapi()
    shape = document["components"]["schemas"]["Reason"]

    assert set(shape["enum"]) == set(Reason)
