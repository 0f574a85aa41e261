"""Queues, workers and counts over HTTP."""

from offload.store.fleet import queues, workers


async def test_queues_tell_their_depth_and_limits(api, enqueue, worker, catalogue, redis_client):
    """Each queue that is declared or used is listed with what waits, what runs and what limits it."""
    await queues.declare(redis_client, catalogue.queues.values())
    for _ in range(2):
        await enqueue("mail.send", {"message": {"to": [], "subject": "x"}})
    await enqueue(queue="slow", delay=60)
    await worker.start("mail")
    found = {queue["name"]: queue for queue in (await api.get("/v1/queues")).json()["items"]}

    assert set(found) == {"default", "mail", "slow"}
    assert (found["mail"]["queued"], found["mail"]["running"]) == (1, 1)
    assert (found["mail"]["max_running"], found["mail"]["rate"]) == (2, "10/1s")
    assert (found["slow"]["deferred"], found["slow"]["oldest_at"]) == (1, None)
    assert found["mail"]["oldest_at"].endswith("Z")


async def test_live_workers_are_listed(api, redis_client):
    """A worker that beats is listed as it describes itself, with the time of its beat."""
    await workers.heartbeat(redis_client, "w1", {"id": "w1", "slots": 7})
    (found,) = (await api.get("/v1/workers")).json()["items"]

    assert (found["id"], found["slots"]) == ("w1", 7)
    assert found["beat_at"].endswith("Z")


async def test_jobs_are_counted_by_status(api, enqueue, worker):
    """The counts tell how many jobs there are of each status, and how those of each function ended."""
    for _ in range(3):
        await enqueue()
    await worker.succeed(await worker.start(), b"3")
    stats = (await api.get("/v1/stats")).json()

    assert (stats["statuses"]["queued"], stats["statuses"]["succeeded"]) == (2, 1)
    assert stats["functions"] == {"numbers.add": {"succeeded": 1}}
