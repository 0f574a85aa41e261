"""Queues over HTTP: one queue, pausing it and letting it go on."""

import asyncio

from integration.api.support import calling, is_problem
from offload import JobContext, job
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.clock import now_ms
from offload.domain.states import Status
from offload.store import keys
from offload.store.fleet import queues

LETTER = {"message": {"to": [], "subject": "x"}}


async def test_one_queue_can_be_looked_at(api, enqueue):
    """A queue that is declared, and one that was only ever used, are shown alike."""
    await enqueue(queue="slow", delay=60)
    declared, used = [(await api.get(f"/v1/queues/{name}")).json() for name in ("mail", "slow")]

    assert (declared["name"], declared["queued"], declared["paused"]) == ("mail", 0, False)
    assert (declared["paused_by"], declared["paused_at"]) == (None, None)
    assert (used["name"], used["deferred"]) == ("slow", 1)
    assert used["links"]["pause"] == "/v1/queues/slow/pause"


async def test_an_unknown_queue_is_404(api, redis_client):
    """No queue comes to be because somebody misspelt one."""
    answers = [
        await api.get("/v1/queues/mial"),
        await api.post("/v1/queues/mial/pause"),
        await api.post("/v1/queues/mial/resume"),
    ]

    assert all(is_problem(answer, 404, "not-found") for answer in answers)
    assert await redis_client.exists(keys.QUEUE + "mial") == 0


async def test_a_paused_queue_tells_by_whom_and_since_when(api):
    """Who paused it first stays on record; resumed, it has neither."""
    before = now_ms()
    first = (await api.post("/v1/queues/mail/pause")).json()
    again = (await api.post("/v1/queues/mail/pause")).json()
    resumed = (await api.post("/v1/queues/mail/resume")).json()
    once_more = await api.post("/v1/queues/mail/resume")

    assert (first["paused"], first["paused_by"]) == (True, "anonymous")
    assert again == first
    assert (resumed["paused"], resumed["paused_by"], resumed["paused_at"]) == (False, None, None)
    assert (once_more.status_code, once_more.json()) == (200, resumed)
    assert before < now_ms() + 1


async def test_a_pause_survives_restarts_and_declarations(api, settings, catalogue, redis_client):
    """Neither another API process, nor a worker that declares its queues as it starts, undoes a pause."""
    await api.post("/v1/queues/mail/pause")
    await queues.declare(redis_client, catalogue.queues.values(), catalogue.queue_names)
    async with calling(settings, catalogue) as other:
        found = (await other.get("/v1/queues/mail")).json()

    assert (found["paused"], found["max_running"]) == (True, 2)


async def test_jobs_may_be_put_into_a_paused_queue(api, enqueue):
    """A pause holds back starts only."""
    await api.post("/v1/queues/default/pause")
    job = await enqueue()
    found = (await api.get("/v1/queues/default")).json()

    assert (job["status"], found["queued"]) == ("queued", 1)


async def test_a_queue_can_be_paused_while_redis_is_out_of_memory(api, redis_client):
    """That is when somebody wants to: pausing is let through, as what empties the queues is."""
    await redis_client.config_set("maxmemory", "1")
    try:
        paused = await api.post("/v1/queues/mail/pause")
    finally:
        await redis_client.config_set("maxmemory", "0")

    assert (paused.status_code, paused.json()["paused"]) == (200, True)


async def test_resuming_wakes_an_idle_worker_at_once(bench, redis):
    """Waiting jobs start when the queue is resumed, not at the worker's next poll; what ran meanwhile ran on."""
    gate = asyncio.Event()

    @job(name="t.holds")
    async def holds(ctx: JobContext) -> None:
        await gate.wait()

    @job(name="t.quick")
    async def quick(ctx: JobContext) -> None: ...

    async with bench(catalogue=Catalogue(of_functions([holds, quick]))) as b, b.worker(poll_delay=4):
        running = await b.enqueue("t.holds")
        await b.entered(running, "running")
        await queues.pause(redis, "default", paused=True, who="test")
        waiting = [await b.enqueue("t.quick") for _ in range(3)]
        gate.set()
        ran = await b.ended(running)
        held = [(await b.inspector.get(one)).status for one in waiting]
        await queues.pause(redis, "default", paused=False)
        resumed_ms = now_ms()
        ended = [await b.ended(one) for one in waiting]

    assert (ran.status, held) == (Status.SUCCEEDED, [Status.QUEUED] * 3)
    assert all(record.started_ms - resumed_ms < 1000 for record in ended)
