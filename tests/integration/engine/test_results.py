"""What is kept of a job that has ended, and what is never shown."""

import asyncio

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from offload import JobContext, job
from offload.domain.errors import ResultExpired
from offload.domain.functions import EnqueueOptions
from offload.domain.policy import Backoff
from offload.domain.security.secrets import MASK
from offload.domain.states import Status

SECRET = "correct-horse-battery"


@job(name="t.gives")
async def gives(ctx: JobContext, size: int = 1) -> str:
    return "x" * size


@job(name="t.forgets", keep_result=0)
async def forgets(ctx: JobContext) -> str:
    return "gone"


@job(name="t.login", max_tries=2, backoff=Backoff(base=0.001))
async def login(ctx: JobContext, name: str, pin: SecretStr, options: dict[str, str]) -> str:
    ctx.log.info("logging in", name=name)
    if ctx.attempt == 1:
        raise PermissionError("not yet")
    return f"{len(pin.get_secret_value())}"


@job(name="t.hangs")
async def hangs(ctx: JobContext, pin: SecretStr) -> None:
    await asyncio.sleep(60)


async def test_a_result_has_a_life_of_its_own(bench, redis):
    """That of the worker, of the function, or of the call; the record outlives it."""
    async with bench(gives) as b, b.worker(keep_result=100, keep_records=50):
        usual = await b.run("t.gives")
        short = await b.run("t.gives", EnqueueOptions(keep_result=7))
        lives = [await redis.ttl(f"arq:result:{r.id}") for r in (usual, short)]

    assert 95 <= lives[0] <= 100
    assert 4 <= lives[1] <= 7
    assert short.expires_ms - short.finished_ms == pytest.approx(57_000, abs=1000)


async def test_a_result_that_is_not_kept_is_expired(bench):
    """keep_result=0: the job has succeeded, its result cannot be had."""
    async with bench(forgets) as b, b.worker():
        record = await b.run("t.forgets")
        with pytest.raises(ResultExpired):
            await b.inspector.result(record.id)

    assert (record.status, record.result, record.result_expired) == (Status.SUCCEEDED, None, True)


async def test_a_result_over_the_limit_fails_the_job(bench):
    """At once, for it would be as large again; the reason names both sizes and the way out."""
    async with bench(gives) as b, b.worker(max_result_bytes=1000):
        fits, over = await b.run("t.gives", size=998), await b.run("t.gives", size=999)

    assert fits.status is Status.SUCCEEDED
    assert (over.status, over.attempt, over.error.type) == (Status.DEAD, 1, "ResultTooLarge")
    assert "1,001 bytes" in over.error.message
    assert "ctx.artifact" in over.error.message


async def test_a_secret_reaches_the_job_and_nothing_else(bench, redis, caplog):
    """Not in logs, events, failed attempts, the job document or its result, at any step of its life."""
    with capture_logs() as logs, caplog.at_level("DEBUG"):
        async with bench(login, hangs) as b, b.worker():
            record = await b.run("t.login", name="n", pin=SECRET, options={"api_key": SECRET})
            job_id = await b.enqueue("t.hangs", pin=SECRET)
            await b.entered(job_id, "running")
            await b.client.abort(job_id)
            aborted = await b.ended(job_id)
    shown = [repr(one) for one in (record, aborted, logs, caplog.text, await redis.xrange("offload:events"))]

    assert record.result == b'"21"'
    assert record.args == {"name": "n", "pin": MASK, "options": {"api_key": MASK}}
    assert aborted.args == {"pin": MASK}
    assert not [one for one in shown if SECRET in one]


async def test_arguments_and_results_are_not_logged(bench):
    """The log says which job, which attempt and how long; never what was given or returned."""
    with capture_logs() as logs:
        async with bench(gives) as b, b.worker():
            await b.run("t.gives", size=7)

    told = {line["event"]: line for line in logs if line["event"].startswith("job_")}
    assert set(told) == {"job_started", "job_succeeded"}
    assert set(told["job_started"]) == {"event", "log_level", "job_id", "function", "queue", "attempt"}
    assert set(told["job_succeeded"]) == {"event", "log_level", "job_id", "function", "attempt", "ms"}


async def test_a_traceback_shows_the_users_frames_and_no_values(bench):
    """It begins in the user's own code; local variables, which may be secrets, are not in it."""

    @job(name="t.breaks", max_tries=1)
    async def breaks(ctx: JobContext) -> None:
        here = "local-" + "value"
        raise ValueError(len(here))

    async with bench(breaks) as b, b.worker():
        record = await b.run("t.breaks")

    assert "in breaks" in record.error.traceback
    assert "offload/worker/" not in record.error.traceback
    assert "local-value" not in record.error.traceback


async def test_a_dead_job_keeps_its_arguments_for_the_one_who_looks(bench):
    """As long as its record, masked."""

    @job(name="t.breaks", max_tries=1)
    async def breaks(ctx: JobContext, to: str, password: str) -> None:
        raise ValueError("no")

    async with bench(breaks) as b, b.worker():
        record = await b.run("t.breaks", to="a@b.c", password=SECRET)

    assert record.args == {"to": "a@b.c", "password": MASK}
    assert record.expires_ms - record.finished_ms > 29 * 86_400_000
