"""The calls about jobs, by both clients, against a real API and a real worker."""

import asyncio
from datetime import UTC, datetime

import pytest

from integration.api.support import Email
from offload import sdk
from offload.domain.errors import ErrorInfo


async def test_a_job_goes_from_a_call_to_its_result(offload, bench, catalogue):
    """What is put in runs, is waited for, followed to its end, and gives its result."""
    async with bench(catalogue=catalogue) as there, there.worker():
        job = await offload.enqueue("numbers.add", {"a": 40, "b": 2}, tags=["sum", "small"])
        result = await offload.result(job["id"], timeout=20)
        ended = await offload.wait(job["id"])
        events = [event async for event in offload.events(job["id"])]

    assert (job["status"], job["tags"], job["function"]) == ("queued", ["sum", "small"], "numbers.add")
    assert result == 42
    assert (ended["status"], ended["result"]) == ("succeeded", 42)
    assert [event.name for event in events] == ["succeeded"]
    assert events[0].data["job"]["result"] == 42


async def test_an_enqueue_can_wait_for_the_end(offload, bench, catalogue):
    """With `wait` the finished job is the answer."""
    async with bench(catalogue=catalogue) as there, there.worker():
        job = await offload.enqueue("numbers.add", {"a": 1, "b": 2}, wait=19.5)
        later = await offload.enqueue("numbers.add", {"a": 1, "b": 2}, wait=0.05, delay=60)

    assert (job["status"], job["result"]) == ("succeeded", 3)
    assert later["status"] == "deferred"


async def test_the_options_of_a_job_are_taken(offload):
    """Each option that a caller gives stands in the job."""
    at = datetime(2030, 1, 2, tzinfo=UTC)
    job = await offload.enqueue(
        "mail.send",
        {"message": Email(to=["a"], subject="s")},
        run_at=at,
        queue="slow",
        max_tries=2,
        timeout=5,
        priority=3,
    )

    assert (job["run_at"], job["queue"], job["max_tries"]) == ("2030-01-02T00:00:00.000Z", "slow", 2)
    assert (job["timeout"], job["priority"], job["status"]) == (5, 3, "deferred")
    assert job["args"] == {"message": {"to": ["a"], "subject": "s"}}


async def test_many_jobs_are_put_in_at_once_in_their_order(offload):
    """A batch may mix functions and options; its answer has the jobs in the order in which they were given."""
    jobs = await offload.enqueue_many(
        [
            {
                "function": "numbers.add",
                "args": {"a": 1, "b": n},
                "options": {"tags": ["t"], "run_at": datetime.now(UTC)},
            }
            for n in range(3)
        ]
        + [{"function": "demo.beat"}]
    )

    assert [job["function"] for job in jobs] == ["numbers.add"] * 3 + ["demo.beat"]
    assert [job["args"] for job in jobs[:3]] == [{"a": 1, "b": n} for n in range(3)]
    assert jobs[0]["tags"] == ["t"]


async def test_wrong_arguments_are_named(offload):
    """InvalidArguments says which field is wrong, and in a batch of which job."""
    with pytest.raises(sdk.InvalidArguments) as one:
        await offload.enqueue("numbers.add", {"a": "x", "b": 2})
    with pytest.raises(sdk.InvalidArguments) as many:
        await offload.enqueue_many([{"function": "demo.beat"}, {"function": "numbers.add", "args": {"a": 1}}])
    with pytest.raises(sdk.UnknownFunction, match=r"numbers\.add"):
        await offload.enqueue("numbers.ad", {})

    assert [field.path for field in one.value.errors] == ["a"]
    assert [field.path for field in many.value.errors] == ["jobs.1.args.b"]
    assert (one.value.status, one.value.type) == (422, "/problems/invalid-arguments")
    assert one.value.request_id


async def test_a_failed_job_says_why_it_has_no_result(offload, worker):
    """JobFailed has the job, with its error."""
    job = await offload.enqueue("numbers.add", {"a": 1, "b": 2})
    with pytest.raises(sdk.NotFinished):
        await offload.result(job["id"])
    await worker.fail(await worker.start(), ErrorInfo("ValueError", "no such number"))
    with pytest.raises(sdk.JobFailed) as raised:
        await offload.result(job["id"])

    assert raised.value.job["status"] == "dead"
    assert raised.value.job["error"]["message"] == "no such number"


async def test_waiting_ends_with_the_time_it_was_given(offload):
    """A job that has not ended in time raises a TimeoutError that has the job as it stands."""
    job = await offload.enqueue("numbers.add", {"a": 1, "b": 2})
    with pytest.raises(TimeoutError) as raised:
        await offload.wait(job["id"], timeout=0.05)

    assert raised.value.job["status"] == "queued"


async def test_a_job_is_aborted_retried_and_forgotten(offload):
    """The calls of a person, one after the other; what the state does not allow is a Conflict."""
    job_id = (await offload.enqueue("numbers.add", {"a": 1, "b": 2}))["id"]
    aborted = await offload.abort(job_id)
    retried = await offload.retry(job_id)
    with pytest.raises(sdk.Conflict):
        await offload.forget(job_id)
    await offload.abort(job_id)
    await offload.forget(job_id)
    with pytest.raises(sdk.NotFound):
        await offload.get(job_id)

    assert (aborted["status"], retried["status"]) == ("aborted", "queued")


async def test_a_job_says_why_it_does_not_run(offload):
    """`explain` has a sentence for a person and a stable word for a program."""
    job = await offload.enqueue("numbers.add", {"a": 1, "b": 2})
    why = await offload.explain(job["id"])

    assert why["reason"] == "no-worker"
    assert "worker" in why["sentence"]


async def test_one_client_serves_many_callers(offload):
    """Calls that are made together do not disturb each other."""
    jobs = await asyncio.gather(*(offload.enqueue("numbers.add", {"a": n, "b": 0}) for n in range(20)))

    assert [job["args"]["a"] for job in jobs] == list(range(20))


async def test_a_second_job_of_a_unique_key_is_the_first(offload):
    """While a job of a key is active, it is the answer to another."""
    first = await offload.enqueue("numbers.add", {"a": 1, "b": 2}, unique_key="one")
    second = await offload.enqueue("numbers.add", {"a": 1, "b": 3}, unique_key="one")

    assert second["id"] == first["id"]


async def test_a_key_of_ones_own_makes_a_call_the_same_from_anywhere(calling, address):
    """Two clients that use one idempotency key put in one job; another call with that key is refused."""
    first = await calling(address).enqueue("numbers.add", {"a": 1, "b": 2}, idempotency_key="order 7")
    second = await calling(address).enqueue("numbers.add", {"a": 1, "b": 2}, idempotency_key="order 7")
    with pytest.raises(sdk.KeyReused):
        await calling(address).enqueue("numbers.add", {"a": 1, "b": 3}, idempotency_key="order 7")

    assert second["id"] == first["id"]
