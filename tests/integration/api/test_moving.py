"""Moving a job function between thread and process over HTTP."""

import asyncio

import pytest

from integration.api.support import calling, functions_of_the_tests, is_problem
from offload import JobContext, job
from offload.domain.catalogue import Catalogue


@job(name="slow.down")
def down(ctx: JobContext) -> None:
    """Take a while."""


@job(name="slow.computes", runs_in="process")
def computes(ctx: JobContext) -> None:
    """Take a core."""


@pytest.fixture(scope="module")
def catalogue():
    """The functions of the other tests, and two that a child process could import."""
    return Catalogue({**functions_of_the_tests().functions, "slow.down": down, "slow.computes": computes})


async def test_a_function_is_moved_and_back(api):
    """Its document says where it runs, who said so and when; null takes it back."""
    before = (await api.get("/v1/functions/slow.down")).json()
    moved = await api.post("/v1/functions/slow.down", json={"runs_in": "process"})
    seen = (await api.get("/v1/functions/slow.down")).json()
    listed = {one["name"]: one for one in (await api.get("/v1/functions")).json()["items"]}
    back = await api.post("/v1/functions/slow.down", json={"runs_in": None})

    assert (before["runs_in"], before["override"]) == ("thread", None)
    assert (moved.status_code, moved.json()) == (200, seen)
    assert (seen["runs_in"], seen["override"]["runs_in"], seen["override"]["by"]) == ("process", "process", "anonymous")
    assert seen["override"]["at"].startswith("20")
    assert listed["slow.down"]["override"] == seen["override"]
    assert back.json() == before


async def test_a_move_outlives_the_api(api, settings, catalogue):
    """It is kept in Redis, for every process of the service."""
    await api.post("/v1/functions/slow.computes", json={"runs_in": "thread"})
    async with calling(settings, catalogue) as other:
        found = (await other.get("/v1/functions/slow.computes")).json()

    assert (found["runs_in"], found["override"]["by"]) == ("thread", "anonymous")


@pytest.mark.parametrize(
    ("name", "runs_in", "advice"),
    [
        ("mail.send", "process", "only a `def` can be moved. Make it def, or run the blocking step with"),
        ("mail.send", "thread", "await ctx.to_thread(f, ...)"),
        ("anything", "process", "a plain arq function"),
        ("digest.pbkdf2", "process", "define it at the top of a module that can be imported"),
    ],
)
async def test_what_cannot_run_there_is_refused(api, name, runs_in, advice):
    """With what would be right; nothing is kept."""
    refused = await api.post(f"/v1/functions/{name}", json={"runs_in": runs_in})
    found = (await api.get(f"/v1/functions/{name}")).json()

    assert is_problem(refused, 409, "function-not-movable")
    assert advice in refused.json()["detail"]
    assert found["override"] is None


@pytest.mark.parametrize(
    ("body", "path"),
    [({}, "runs_in"), ({"runs_in": "loop"}, "runs_in"), ({"runs_in": "thread", "x": 1}, "x"), ([], "")],
)
async def test_a_body_that_says_something_else_is_refused(api, body, path):
    """Each fault with its path."""
    refused = await api.post("/v1/functions/slow.down", json=body)

    assert is_problem(refused, 422, "invalid-parameters")
    assert [error["path"] for error in refused.json()["errors"]] == [path]


async def test_an_unknown_function_is_404(api):
    """With the nearest one."""
    assert is_problem(await api.post("/v1/functions/slow.dwn", json={"runs_in": None}), 404, "unknown-function")


async def test_a_move_stands_in_the_audit(api):
    """With where to, and whether that changed something."""
    for place in ("process", "process", None):
        await api.post("/v1/functions/slow.down", json={"runs_in": place})
    async with asyncio.timeout(5):
        while len(entries := (await api.get("/v1/audit?action=function.override")).json()["items"]) < 3:  # noqa: ASYNC110 - it is written after the answer
            await asyncio.sleep(0.01)

    assert [entry["detail"] for entry in entries] == [
        {"runs_in": None, "changed": True},
        {"runs_in": "process", "changed": False},
        {"runs_in": "process", "changed": True},
    ]
    assert {(entry["target"], entry["who"]) for entry in entries} == {("slow.down", "anonymous")}


async def test_a_function_can_be_moved_while_redis_is_out_of_memory(api, redis_client):
    """That is when somebody may want to."""
    await redis_client.config_set("maxmemory", "1")
    try:
        moved = await api.post("/v1/functions/slow.down", json={"runs_in": "process"})
    finally:
        await redis_client.config_set("maxmemory", "0")

    assert (moved.status_code, moved.json()["runs_in"]) == (200, "process")
