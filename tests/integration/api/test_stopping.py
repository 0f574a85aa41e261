"""What becomes of a held request when the API is stopped."""

import asyncio

import httpx

from integration.api.support import is_problem, serving
from offload.app import create_app
from offload.inspector import Inspector


async def test_a_held_answer_is_given_up_with_a_problem(redis_client, settings, catalogue, monkeypatch):
    """A caller that waits for a job is told to ask again, not that the service failed, when its API process stops."""
    held, wait = asyncio.Event(), Inspector.wait

    async def wait_noted(self, job_id, timeout):
        held.set()
        return await wait(self, job_id, timeout)

    monkeypatch.setattr(Inspector, "wait", wait_noted)
    async with httpx.AsyncClient(timeout=10) as client:
        async with serving(create_app(settings, catalogue)) as address:
            job = (await client.post(f"{address}/v1/functions/numbers.add/jobs", json={"a": 1, "b": 2})).json()
            waiting = asyncio.create_task(client.get(f"{address}/v1/jobs/{job['id']}?wait=30"))
            await held.wait()
        answer = await waiting

    assert is_problem(answer, 503, "stopping")
    assert answer.headers["Retry-After"] == "1"
