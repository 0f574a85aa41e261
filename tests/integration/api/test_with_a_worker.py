"""The whole way of a job over HTTP, with a real worker."""


async def test_a_job_goes_from_a_call_to_its_result(api, bench, catalogue):
    """What is enqueued over HTTP runs, can be followed to its end, and gives its result."""
    async with bench(catalogue=catalogue) as there, there.worker():
        job = (await api.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
        followed = await api.get(job["links"]["events"])
        result = await api.get(job["links"]["result"])
        (worker,) = (await api.get("/v1/workers")).json()["items"]

    assert "event: succeeded" in followed.text
    assert (result.status_code, result.json()) == (200, 3)
    assert "numbers.add" in worker["functions"]
    assert worker["beat_at"].endswith("Z")


async def test_a_waiting_call_is_answered_by_the_job_s_end(api, bench, catalogue):
    """`?wait=` answers with the finished job as soon as the worker has done it."""
    job = (await api.post("/v1/functions/numbers.add/jobs", json={"a": 40, "b": 2})).json()
    async with bench(catalogue=catalogue) as there, there.worker():
        ended = (await api.get(job["links"]["self"], params={"wait": 20})).json()

    assert (ended["status"], ended["result"]) == ("succeeded", 42)
    assert ended["loop_ms"] is None or ended["loop_ms"] >= 0
