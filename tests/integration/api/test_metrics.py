"""Metrics, time series, stalls, HEAD, the front page: what somebody who watches the service is told."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from integration.api.support import calling, settings_for
from offload.domain.errors import ErrorInfo
from offload.store import keys
from offload.store.fleet import capped_stream, workers
from offload.store.jobs.leases import LoopUsage


@pytest.fixture
def scrape(api):
    """Scrape, and return the value of each series by name and labels."""

    async def scrape():
        response = await api.get("/metrics")
        assert response.status_code == 200
        return values(response.text)

    return scrape


def values(text):
    """Read Prometheus' text format."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_scrape_has_jobs_queues_endings_and_workers(api, scrape, enqueue, worker, redis_client):
    """The fleet as it stands, whichever API process is asked."""
    for _ in range(3):
        await enqueue()
    await worker.succeed(await worker.start(), b"3")
    await worker.fail(await worker.start(), ErrorInfo("ValueError", "no"))
    await workers.heartbeat(redis_client, "w1", {"id": "w1", "slots": 7, "running": 2})
    await api.post("/v1/queues/mail/pause")
    found = await scrape()

    assert found["offload_redis_up",] == 1
    assert found["offload_jobs", ("status", "queued")] == 1
    assert found["offload_jobs", ("status", "dead")] == 1
    assert found["offload_queue_depth", ("queue", "default")] == 1
    assert found["offload_queue_oldest_seconds", ("queue", "default")] >= 0
    assert found["offload_queue_paused", ("queue", "mail")] == 1
    assert found["offload_attempts_ended_total", ("ending", "succeeded"), ("function", "numbers.add")] == 1
    assert found["offload_attempts_ended_total", ("ending", "dead"), ("function", "numbers.add")] == 1
    assert ("offload_run_seconds_total", ("function", "numbers.add")) in found
    assert (found["offload_workers",], found["offload_worker_slots",], found["offload_worker_running",]) == (1, 7, 2)


async def test_a_scrape_has_steps_over_their_budget(api, scrape, enqueue, worker):
    """By function; they are no endings."""
    for over_budget in (2, 0, 1):
        await enqueue()
        loop = LoopUsage.of(50_000_000, 3, 20_000_000, over_budget)
        await worker._finish(await worker.start(), "succeeded", loop=loop)
    found = await scrape()
    endings = {series for series in found if series[0] == "offload_attempts_ended_total"}

    assert found["offload_loop_over_budget_total", ("function", "numbers.add")] == 3
    assert {dict(labels)["ending"] for _, *labels in endings} == {"succeeded"}


async def test_a_scrape_sums_up_threads_and_processes_by_queue(scrape, redis_client):
    """Of all live workers; one that is of an older version says nothing of its own."""
    of = {"queue": "llm", "kind": "thread", "size": 2, "busy": 2, "waiting": 3, "leaked": 1}
    process = {"queue": "pdf", "kind": "process", "size": 4, "busy": 1, "waiting": 0, "leaked": 0}
    for name, executors in (("w1", [of, process]), ("w2", [of])):
        await workers.heartbeat(redis_client, name, {"id": name, "executors": executors})
    await workers.heartbeat(redis_client, "old", {"id": "old"})
    found = await scrape()
    threads = [
        found[f"offload_worker_threads_{one}", ("queue", "llm")] for one in ("busy", "size", "waiting", "leaked")
    ]
    processes = [found[f"offload_worker_processes_{one}", ("queue", "pdf")] for one in ("busy", "size", "waiting")]

    assert (threads, processes) == ([4, 4, 6, 2], [1, 4, 0])


async def test_a_scrape_has_requests_by_route_and_status(api, scrape):
    """By the route's template, so that ids make no series; what fits no route, and odd methods, are one each."""
    for path in ("/v1/jobs/a", "/v1/jobs/b", "/nowhere/1", "/nowhere/2"):
        await api.get(path)
    await api.request("BREW", "/livez")
    found = await scrape()
    name = "offload_http_request_duration_seconds_count"

    assert found[name, ("method", "GET"), ("route", "/v1/jobs/{job_id}"), ("status", "404")] == 2
    assert found[name, ("method", "GET"), ("route", "-"), ("status", "404")] == 2
    assert any(("method", "other") in series for series in found)
    assert not any("nowhere" in str(series) for series in found)


async def test_a_scrape_has_calls_by_key(redis_client, redis_server, catalogue, tmp_path):
    """Calls that were answered are counted by the key's name and the route; refused ones are not."""
    settings = settings_for(redis_server.url, tmp_path, api_keys=["very-secret"])
    async with calling(settings, catalogue) as api:
        await api.get("/v1/queues")
        api.headers["Authorization"] = "Bearer very-secret"
        for _ in range(2):
            await api.get("/v1/queues")
        await api.get("/v1/jobs/nobody")
        text = (await api.get("/metrics")).text
    calls = {series: value for series, value in values(text).items() if series[0] == "offload_http_calls_total"}
    ((_, (_, key), route), count), *more = calls.items()

    assert key.startswith("key-")
    assert (route, count, more) == (("route", "/v1/queues"), 2, [])


async def test_a_scrape_is_answered_while_redis_is_away(catalogue, tmp_path):
    """Then it says so, and has what this process knows."""
    async with calling(settings_for(f"unix://{tmp_path}/nobody", tmp_path), catalogue) as api:
        await api.get("/livez")
        found = values((await api.get("/metrics")).text)

    assert found["offload_redis_up",] == 0
    assert ("offload_workers",) not in found
    assert any(name == "offload_http_request_duration_seconds_count" for name, *_ in found)


async def test_a_scrape_costs_no_more_with_more_jobs(api, enqueue, redis_client):
    """It asks Redis as many commands for a hundred jobs as for one, beside what the API asks at its own pace."""
    at_its_own_pace = {"cmdstat_xread", "cmdstat_ping", "cmdstat_info"}  # the feed, the breaker, and this test

    async def counts():
        stats = await redis_client.info("commandstats")
        return {name: stats[name]["calls"] for name in stats if name not in at_its_own_pace}

    async def cost():
        before = await counts()
        await api.get("/metrics")
        return {name: more for name, calls in (await counts()).items() if (more := calls - before.get(name, 0))}

    await enqueue()
    with_one = await cost()
    await asyncio.gather(*(enqueue() for _ in range(100)))

    assert await cost() == with_one
    assert 0 < sum(with_one.values()) < 60


async def test_stats_have_a_point_for_each_minute_and_hour(api, enqueue, worker):
    """60 minutes and 24 hours, oldest first; the last points are under way and have what has just ended."""
    await enqueue()
    await worker.succeed(await worker.start(), b"3")
    await enqueue()
    await worker.fail(await worker.start(), ErrorInfo("ValueError", "no"))
    stats = (await api.get("/v1/stats")).json()
    minutes, hours = stats["minutes"], stats["hours"]
    recent = [point for point in minutes[-2:] if point["succeeded"] or point["dead"]]

    assert (len(minutes), len(hours)) == (60, 24)
    assert minutes == sorted(minutes, key=lambda point: point["at"])
    assert (sum(p["succeeded"] for p in recent), sum(p["dead"] for p in recent)) == (1, 1)
    assert (hours[-1]["succeeded"], hours[-1]["dead"], hours[-1]["mean_ms"] >= 0) == (1, 1, True)
    assert hours[0] == {**dict.fromkeys(hours[0], 0), "at": hours[0]["at"], "mean_ms": None}


async def test_a_function_tells_how_long_it_ran(api, enqueue, worker):
    """The catalogue has the mean time of those attempts that succeeded in the last day."""
    await enqueue()
    await worker.succeed(await worker.start(), b"3")
    found = (await api.get("/v1/functions/numbers.add")).json()
    other = (await api.get("/v1/functions/demo.beat")).json()

    assert (found["recent"], found["mean_ms"] >= 0) == ({"succeeded": 1}, True)
    assert (other["recent"], other["mean_ms"]) == ({}, None)


async def test_totals_stay_bounded(redis_client, enqueue, worker):
    """However many functions stock producers name, so many counters are kept in total."""
    await redis_client.hset(keys.TOTALS, mapping={f"dead f{n}": 1 for n in range(5000)})
    await enqueue()
    await worker.succeed(await worker.start(), b"3")

    assert await redis_client.hlen(keys.TOTALS) <= 5000


async def test_stalls_are_listed_newest_first(api, redis_client):
    """Each as it was recorded, with its time."""
    for number in range(3):
        await capped_stream.append(redis_client, keys.STALLS, {"kind": "step", "line": number}, 1000)
    first = (await api.get("/v1/stalls", params={"limit": 2})).json()
    rest = (await api.get("/v1/stalls", params={"cursor": first["next"]})).json()

    assert [stall["line"] for stall in (*first["items"], *rest["items"])] == [2, 1, 0]
    assert rest["next"] is None
    assert first["items"][0]["at"].endswith("Z")


async def test_head_is_answered_wherever_get_is(api, enqueue, catalogue):
    """Every GET route takes HEAD: the same status and headers, and no body."""
    job = await enqueue()
    paths = [path for path, methods in api.app.openapi()["paths"].items() if "get" in methods]
    places = {"{job_id}": job["id"], "{name}": "mail", "{artifact_id}": "none"}
    for place, value in places.items():
        paths = [path.replace(place, value) for path in paths]
    differing = []
    for path in [*paths, "/", "/docs", "/openapi.json", "/problems/not-found"]:
        if path.endswith("/events"):
            continue
        got, head = await api.get(path), await api.head(path)
        same = {name: (got.headers.get(name), head.headers.get(name)) for name in ("content-type", "x-frame-options")}
        if got.status_code != head.status_code or head.content or any(a != b for a, b in same.values()):
            differing.append((path, got.status_code, head.status_code, same))

    assert len(paths) > 15
    assert differing == []


async def test_head_of_a_stream_ends(served, redis_client):
    """A stream of events, which by GET would stay open, is answered with its headers alone."""
    job = (await served.post("/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
    head = await served.head(f"/v1/jobs/{job['id']}/events")
    after = await served.get("/livez")

    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (head.content, after.status_code) == (b"", 200)


async def test_head_of_what_only_takes_post_is_405(api):
    """As GET would be."""
    head = await api.head("/v1/queues/mail/pause")

    assert head.status_code == 405


async def test_the_front_page_leads_to_the_docs(api):
    """Who opens the address in a browser finds the way on."""
    page = await api.get("/")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert 'href="/docs"' in page.text
