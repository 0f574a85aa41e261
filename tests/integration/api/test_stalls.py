"""What held an event loop, over HTTP: lists, causes, what lasts, metrics, the mark on the job, the events."""

import asyncio
import contextlib

import pytest

from integration.api.support import is_problem
from integration.api.test_metrics import values
from offload.domain.events import EventFilter
from offload.store.connection.blocking import connect, portable
from offload.store.connection.connection import settings_of
from offload.store.fleet import workers
from offload.store.fleet.stalls import StallWriter
from support.stalls import stall


@pytest.fixture
def record(redis_client, redis_server):
    """Record stalls, as the reporter of a worker does on its thread."""
    writer = StallWriter(lambda: connect(portable(settings_of(redis_server.url))), "w1")

    async def record(*stalls):
        for one in stalls:
            await asyncio.to_thread(writer.keep, one)

    record.lasts = lambda one: asyncio.to_thread(writer.blocked, one, is_news=True)
    yield record
    writer.close()


@pytest.mark.parametrize(
    ("query", "jobs"),
    [
        ("", ["j2", None, "j1"]),
        ("kind=callback", [None]),
        ("function=fetch.page", ["j2", "j1"]),
        ("route=GET%20%2Fx", [None]),
        ("worker=w2", ["j2"]),
        ("job_id=j1", ["j1"]),
        (f"fingerprint={stall()['fingerprint']}&worker=w1", ["j1"]),
        ("after=2020-01-01T00:00:00Z&before=2100-01-01T00:00:00Z", ["j2", None, "j1"]),
        ("before=2020-01-01T00:00:00Z", []),
    ],
)
async def test_stalls_are_listed_by_what_they_were(api, record, query, jobs):
    """Newest first; each filter takes those that fit, and all of them together."""
    route = stall(kind="callback", process="api", worker=None, job_id=None, function=None, route="GET /x")
    await record(stall(), route, stall(worker="w2", job_id="j2"))
    found = (await api.get(f"/v1/stalls?{query}")).json()

    assert [one["job_id"] for one in found["items"]] == jobs
    assert (found["next"], found["ongoing"]) == (None, [])


@pytest.mark.parametrize(
    "query", ["kind=slow", "function=", "fingerprint=x", "after=never", "queue=mail", "limit=0", "worker=a&worker=b"]
)
async def test_what_is_no_filter_is_422(api, query):
    """A misspelt filter would show everything, so it is refused."""
    assert is_problem(await api.get(f"/v1/stalls?{query}"), 422, "invalid-parameters")


async def test_a_window_that_holds_nothing_is_422(api):
    """As in the list of jobs."""
    window = {"after": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"}

    assert is_problem(await api.get("/v1/stalls", params=window), 422, "invalid-parameters")


async def test_what_lasts_is_listed_as_ongoing(api, record):
    """Since when and for how long so far; filters choose among it too."""
    await record.lasts(stall(held_ms=4000))
    found = (await api.get("/v1/stalls")).json()
    others = (await api.get("/v1/stalls", params={"function": "mail.send"})).json()
    (lasts,) = found["ongoing"]

    assert (lasts["job_id"], lasts["line"], found["items"], others["ongoing"]) == ("j1", 41, [], [])
    assert lasts["held_ms"] >= 4000
    assert lasts["at"].endswith("Z")


async def test_causes_are_listed_by_what_they_held_in_all(api, record):
    """One row for each fingerprint, with its last stall, page by page."""
    await record(*(stall(held_ms=ms) for ms in (100, 400)), *(stall(file=f"/{n}", held_ms=n) for n in (300, 200)))
    first = (await api.get("/v1/stalls/groups?limit=2")).json()
    rest = (await api.get("/v1/stalls/groups", params={"cursor": first["next"]})).json()
    groups = [*first["items"], *rest["items"]]

    assert [(one["held_ms"], one["count"], one["max_ms"]) for one in groups] == [
        (500, 2, 400),
        (300, 1, 300),
        (200, 1, 200),
    ]
    assert (groups[0]["last"]["line"], groups[0]["last"]["fingerprint"]) == (41, groups[0]["fingerprint"])
    assert groups[0]["first_at"] <= groups[0]["last_at"] == groups[0]["last"]["at"]
    assert rest["next"] is None
    assert is_problem(await api.get("/v1/stalls/groups?cursor=x"), 422, "invalid-parameters")


async def test_stalls_are_cleared_and_that_is_on_record(api, record):
    """Lists and causes are empty then, the totals are not, and the audit says who did it."""
    await record(stall(), stall())
    cleared = await api.delete("/v1/stalls")
    items = (await api.get("/v1/stalls")).json()["items"]
    groups = (await api.get("/v1/stalls/groups")).json()["items"]
    total = values((await api.get("/metrics")).text)["offload_stalls_total", ("kind", "step"), ("name", "fetch.page")]
    (entry,) = (await api.get("/v1/audit?action=stalls.clear")).json()["items"]

    assert (cleared.json(), items, groups, total) == ({"cleared": 2}, [], [], 2)
    assert (entry["who"], entry["target"], entry["count"]) == ("anonymous", "stalls", 2)


async def test_the_job_that_held_a_loop_is_marked(api, enqueue, record):
    """Its document says how often, in the list of jobs too."""
    job = await enqueue()
    before = job["stalls"]
    await record(stall(job_id=job["id"]), stall(job_id=job["id"]), stall(job_id=job["id"], kind="starved"))
    found = (await api.get(f"/v1/jobs/{job['id']}")).json()
    (listed,) = (await api.get("/v1/jobs")).json()["items"]

    assert (before, found["stalls"], listed["stalls"]) == (0, 2, 2)


async def test_who_follows_a_job_or_all_hears_of_it(api, enqueue, record):
    """`blocked` while it lasts, `stalled` when it is over, each with function, line and time."""
    job = await enqueue()
    inspector = api.app.state.offload.inspector
    async with (
        contextlib.aclosing(inspector.events(job["id"])) as of_job,
        contextlib.aclosing(inspector.all_events(EventFilter(names=frozenset({"stalled"})))) as of_all,
    ):
        assert ((await anext(of_job)).name, await anext(of_all)) == ("queued", [])
        await record.lasts(stall(job_id=job["id"], held_ms=1000))
        await record(stall(job_id=job["id"], held_ms=1300), stall(job_id=None, function=None, route="GET /x"))
        first, second = await anext(of_job), await anext(of_job)
        every = []
        while len(every) < 2:
            every += await anext(of_all)

    assert [(one.name, one.data["held_ms"], one.data["line"]) for one in (first, second)] == [
        ("blocked", 1000, 41),
        ("stalled", 1300, 41),
    ]
    assert first.data["queue"] == "default"
    assert [(one.name, one.job_id, one.data.get("route")) for one in every] == [
        ("stalled", job["id"], None),
        ("stalled", "", "GET /x"),
    ]


async def test_metrics_count_the_stalls_of_the_whole_fleet(api, record):
    """By kind and name, and what lasts just now; whichever API process is asked."""
    await record(stall(), stall(held_ms=700), stall(kind="gc", function=None, job_id=None))
    await record.lasts(stall())
    found = values((await api.get("/metrics")).text)

    assert found["offload_stalls_total", ("kind", "step"), ("name", "fetch.page")] == 2
    assert found["offload_stalled_seconds_total", ("kind", "step"), ("name", "fetch.page")] == 1
    assert found["offload_stalls_total", ("kind", "gc"), ("name", "-")] == 1
    assert found["offload_stalls_ongoing",] == 1


async def test_metrics_tell_how_the_loops_of_the_workers_do(api, redis_client):
    """The worst lag, the busiest and all together, and what got lost; a worker that is not watched adds nothing."""
    loop = {"lag_ms": 5, "max_lag_ms": 900, "busy": 0.5, "functions": {"a.b": 1500}, "stalls": {"step": 2}}
    lost = {"stalls_dropped": 1, "stalls_lost": 2}
    other = {"lag_ms": 1, "max_lag_ms": 30, "busy": 0.25, "functions": {"a.b": 500, "c.d": 1}, "stalls": {}}
    for name, about in (("w1", {**loop, **lost}), ("w2", other), ("w3", None)):
        await workers.heartbeat(redis_client, name, {"id": name, "loop": about})
    found = values((await api.get("/metrics")).text)
    prefix = "offload_worker_loop_"

    assert (found[prefix + "lag_seconds",], found[prefix + "lag_max_seconds",]) == (0.005, 0.9)
    assert (found[prefix + "busy",], found[prefix + "busy_max",]) == (0.75, 0.5)
    assert found[prefix + "function_seconds", ("function", "a.b")] == 2
    assert found[prefix + "stalls", ("kind", "step")] == 2
    assert (found[prefix + "stalls_dropped",], found[prefix + "stalls_lost",]) == (1, 2)


async def test_metrics_have_so_many_functions_at_most(api, redis_client):
    """What many workers say of many functions is cut off, and the rest added up."""
    for worker in range(30):
        functions = {f"f{worker}.{n}": 1000 for n in range(10)}
        await workers.heartbeat(redis_client, f"w{worker}", {"id": f"w{worker}", "loop": {"functions": functions}})
    found = values((await api.get("/metrics")).text)
    shown = {series: value for series, value in found.items() if series[0] == "offload_worker_loop_function_seconds"}

    assert len(shown) == 201
    assert shown["offload_worker_loop_function_seconds", ("function", "other")] == 100


async def test_metrics_tell_how_this_processs_loop_does(api):
    """Its lag, how busy it is, and what got lost on the way."""
    await api.get("/v1/jobs")
    found = values((await api.get("/metrics")).text)

    assert found["offload_loop_lag_seconds",] >= 0
    assert found["offload_loop_lag_max_seconds",] >= found["offload_loop_lag_seconds",]
    assert 0 <= found["offload_loop_busy_ratio",] <= 1
    assert (found["offload_loop_stalls_dropped_total",], found["offload_loop_stalls_lost_total",]) == (0, 0)
    assert found["offload_loop_route_seconds_total", ("route", "GET /v1/jobs")] > 0
