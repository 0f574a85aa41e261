"""Schedules over HTTP: what is planned, running one now, letting ticks go by."""

import pytest

from integration.api.support import functions_of_the_tests, is_problem
from offload.domain.catalogue import Catalogue
from offload.domain.schedules import Schedule
from offload.store import keys
from offload.store.fleet import schedules
from offload.store.jobs.enqueue import NewJob

HOURLY = Schedule("sum of the hour", "numbers.add", every=3600, args={"a": 1, "b": 2})
DAILY = Schedule("letter", "mail.send", cron="0 6 * * *", timezone="Europe/Berlin", args={})
HERE = "/v1/schedules/sum%20of%20the%20hour"
AT = 1_763_800_000_000


@pytest.fixture(scope="module")
def catalogue():
    """The functions of the tests with two schedules."""
    found = functions_of_the_tests()
    return Catalogue(found.functions, found.queues, {one.name: one for one in (HOURLY, DAILY)})


async def test_schedules_are_listed_with_their_plans(api):
    """Each schedule of the code is there, before any worker has seen it."""
    page = (await api.get("/v1/schedules")).json()

    assert page["next"] is None
    assert [(one["name"], one["plan"], one["timezone"]) for one in page["items"]] == [
        ("letter", "0 6 * * * (Europe/Berlin)", "Europe/Berlin"),
        ("sum of the hour", "every 3600 s", "UTC"),
    ]
    assert {(one["next_at"], one["last_at"], one["last_job"], one["paused"]) for one in page["items"]} == {
        (None, None, None, False)
    }


async def test_a_schedule_tells_its_last_tick_and_its_next(api, redis_client):
    """When it fires next, when it last did, and which job that was, once a worker has ticked it."""
    at_ms = 1_763_802_000_000
    tick = NewJob("tick-1", "default", 0, b"{}", {"function": "numbers.add"})
    await schedules.tick(redis_client, HOURLY.name, at_ms, at_ms + 3_600_000, tick)
    await schedules.tick(redis_client, HOURLY.name, at_ms, at_ms + 3_600_000, tick)
    found = (await api.get(HERE)).json()

    assert (found["next_at"], found["last_at"]) == ("2025-11-22T10:00:00.000Z", "2025-11-22T09:00:00.000Z")
    assert (found["last_job"], found["links"]["last_job"]) == ("tick-1", "/v1/jobs/tick-1")


async def test_an_unknown_schedule_is_404(api, redis_client):
    """Whatever one wants of it."""
    answers = [await api.get("/v1/schedules/none")]
    answers += [await api.post(f"/v1/schedules/none/{verb}") for verb in ("run", "pause", "resume")]

    assert all(is_problem(answer, 404, "not-found") for answer in answers)
    assert not await redis_client.exists(keys.SCHEDULES)


async def test_a_schedule_is_run_now(api, worker, redis_client):
    """The answer is the job, of its own, with the schedule's arguments; the plan goes on as it was."""
    await redis_client.hset(keys.SCHEDULE + HOURLY.name, "next", AT)
    first, second = [await api.post(f"{HERE}/run") for _ in range(2)]
    found = (await api.get(HERE)).json()
    taken = await worker.start()

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.headers["location"] == f"/v1/jobs/{first.json()['id']}"
    assert (first.json()["function"], first.json()["args"]) == ("numbers.add", {"a": 1, "b": 2})
    assert taken.id == first.json()["id"] != second.json()["id"]
    assert (found["next_at"], found["last_job"]) == ("2025-11-22T08:26:40.000Z", second.json()["id"])


async def test_a_paused_schedule_can_be_run_by_hand(api):
    """A person who asks for it now means now; it stays paused."""
    paused = (await api.post(f"{HERE}/pause")).json()
    ran = await api.post(f"{HERE}/run")
    resumed = (await api.post(f"{HERE}/resume")).json()

    assert (paused["paused"], ran.status_code, resumed["paused"]) == (True, 202, False)


async def test_ticks_of_a_paused_schedule_go_by(api, redis_client):
    """A tick that comes due meanwhile makes no job, and is not made up for."""
    tick = NewJob("tick-1", "default", 0, b"{}", {"function": "numbers.add"})
    await schedules.tick(redis_client, HOURLY.name, AT, AT + 3_600_000, tick)
    await api.post(f"{HERE}/pause")
    went_by = await schedules.tick(redis_client, HOURLY.name, AT, AT + 3_600_000, tick)
    await api.post(f"{HERE}/resume")
    found = (await api.get(HERE)).json()

    assert (went_by.fired, went_by.paused, went_by.next_ms) == (False, True, AT + 3_600_000)
    assert (found["last_job"], found["paused"]) == (None, False)
