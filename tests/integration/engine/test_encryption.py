"""Encryption at rest with everything that reads and writes: client, worker, children, inspector, API, arq's own."""

import asyncio
import contextlib

import httpx
import pytest
from arq import create_pool
from arq.jobs import Job
from structlog.testing import capture_logs

from integration.api.support import is_problem, settings_for
from integration.engine.test_secrets import everything_readable
from offload import JobContext, job
from offload.app import create_app
from offload.client import Client
from offload.domain.catalogue import Catalogue, of_functions
from offload.domain.functions import EnqueueOptions
from offload.domain.security import encryption_keys
from offload.domain.security.encryption_keys import read_keys
from offload.domain.states import Status
from offload.inspector import Inspector
from offload.store.connection.connection import settings_of
from offload.store.jobs.artifacts import ArtifactFiles
from offload.store.jobs.codec import Codec
from offload.store.jobs.encryption import Sealer
from offload.store.jobs.enqueue import JobStore
from offload.store.jobs.records import Records
from offload.wiring import codec_of
from offload.worker.attempt import prepare
from offload.worker.options import arq_arguments

OLD, NEW = encryption_keys.new(), encryption_keys.new()
WORD, ANSWER = "a-word-that-is-given", "nevig-si-taht-drow-a"


@job(name="e.on_loop")
async def on_loop(ctx: JobContext, word: str) -> str:
    return word[::-1]


@job(name="e.in_thread", runs_in="thread")
def in_thread(ctx: JobContext, word: str) -> str:
    return word[::-1]


@job(name="e.in_process", runs_in="process")
def in_process(ctx: JobContext, word: str) -> str:
    return word[::-1]


@job(name="e.puts_in")
async def puts_in(ctx: JobContext, word: str) -> str:
    return (await ctx.enqueue("e.on_loop", word=word)).id


@job(name="e.fails", max_tries=1)
async def fails(ctx: JobContext, word: str) -> None:
    raise ValueError("no")


ALL = [on_loop, in_thread, in_process, puts_in, fails]


def with_keys(b, *keys):
    """Let the bench's client and inspector use these keys; return what a worker needs for the same."""
    codec = Codec.named("json", Sealer(keys))
    functions = b.catalogue.functions
    b.client = Client(JobStore(b.redis, codec), b.catalogue)
    b.inspector = Inspector(
        b.redis, Records(b.redis, codec, functions), b.inspector._feed, ArtifactFiles(b.artifacts), b.catalogue
    )
    return {"job_serializer": codec.serialize, "job_deserializer": codec.deserialize}


async def put_back(b, job_id):
    """Return when a worker has taken the job and requeued it."""
    names = []
    async for event in b.inspector.events(job_id):
        names += [event.name] if event is not None else []
        if names[-2:] == ["running", "queued"]:
            return


async def everything(redis):
    """All of Redis: what may be read, and arguments and results too."""
    found = await everything_readable(redis)
    for prefix in ("arq:job:*", "arq:result:*"):
        found += "".join([repr(await redis.get(key)) async for key in redis.scan_iter(match=prefix)])
    for key in [key async for key in redis.scan_iter(match="offload:job:*")]:
        found += repr(await redis.hgetall(key))
    return found


async def test_arguments_and_results_stand_nowhere_in_redis(bench, redis):
    """Wherever a job runs, who reads Redis, at any time, finds neither what was given nor what came out."""
    async with bench(*ALL) as b:
        keys = with_keys(b, OLD)
        names = [one.name for one in ALL]
        ids = {name: await b.enqueue(name, word=WORD) for name in names}
        waiting = await everything(redis)
        async with b.worker(**keys):
            records = {name: await b.ended(job_id) for name, job_id in ids.items()}
            child = await b.ended(records["e.puts_in"].result.decode().strip('"'))
        ended = await everything(redis)

    assert {records[name].result for name in names[:3]} == {f'"{ANSWER}"'.encode()}
    assert child.result == f'"{ANSWER}"'.encode()
    assert records["e.fails"].args == {"word": WORD}
    assert "OFS1" in waiting
    for text in (waiting, ended):
        assert WORD not in text
        assert ANSWER not in text


async def test_jobs_from_before_are_run(bench, redis):
    """A queue that held plain jobs when encryption was switched on loses none; their results are encrypted."""
    async with bench(on_loop) as b:
        before = await b.enqueue("e.on_loop", word=WORD)
        keys = with_keys(b, OLD)
        async with b.worker(**keys):
            record = await b.ended(before)
        result = await redis.get("arq:result:" + before)

    assert record.result == f'"{ANSWER}"'.encode()
    assert result.startswith(b"OFS1")


async def test_keys_are_rotated_under_way(bench):
    """New key first, old one behind it: jobs and results of both are read, by worker and client."""
    async with bench(on_loop) as b:
        keys = with_keys(b, OLD)
        waiting = await b.enqueue("e.on_loop", word="one")
        async with b.worker(**keys):
            done = await b.ended(await b.enqueue("e.on_loop", word="two"))
        again = await b.enqueue("e.on_loop", word="three")
        keys = with_keys(b, NEW, OLD)
        async with b.worker(**keys):
            records = [await b.ended(i) for i in (waiting, again, await b.enqueue("e.on_loop", word="four"), done.id)]

    assert [record.result for record in records] == [b'"eno"', b'"eerht"', b'"ruof"', b'"owt"']


async def test_a_worker_without_the_key_leaves_the_job_to_others(bench, redis, monkeypatch):
    """It puts the job back, at no cost of an attempt, and names the key in its log once; one that has it runs it."""
    monkeypatch.setattr(prepare, "_KEY_MISSING_PAUSE_MS", (50, 50))
    async with bench(on_loop) as b:
        keys = with_keys(b, OLD)
        ids = [await b.enqueue("e.on_loop", word="one") for _ in range(3)]
        with capture_logs() as logs:
            async with b.worker():  # its own codec: no keys
                for _ in range(2):
                    await asyncio.wait_for(put_back(b, ids[0]), 10)
            async with b.worker(**keys):
                records = [await b.ended(i) for i in ids]
    missing = [line for line in logs if line["event"] == "encryption_key_missing"]

    assert {(record.status, record.attempt) for record in records} == {(Status.SUCCEEDED, 1)}
    assert [(line["key_id"], line["log_level"]) for line in missing] == [(read_keys([OLD])[0].id.hex(), "error")]


async def test_why_such_a_job_waits_is_told(bench, redis_server, tmp_path, monkeypatch):
    """`explain` names the key that the worker had not."""
    monkeypatch.setattr(prepare, "_KEY_MISSING_PAUSE_MS", (60_000, 60_000))
    app = create_app(settings_for(redis_server.url, tmp_path, encryption_keys=[OLD]), Catalogue(of_functions(ALL)))
    async with bench(on_loop) as b, app.router.lifespan_context(app):
        with_keys(b, OLD)
        job_id = await b.enqueue("e.on_loop", word="one")
        follower = asyncio.create_task(put_back(b, job_id))
        await asyncio.sleep(0)
        async with b.worker():
            await asyncio.wait_for(follower, 10)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
            explained = (await api.get(f"/v1/jobs/{job_id}/explain")).json()

    assert (
        f"could not run it: it does not have the encryption key {read_keys([OLD])[0].id.hex()}" in explained["sentence"]
    )


async def test_a_job_that_nobody_can_read_is_still_aborted_and_still_expires(bench, monkeypatch):
    """Without the key a waiting job can be aborted, and its deadline holds."""
    monkeypatch.setattr(prepare, "_KEY_MISSING_PAUSE_MS", (20, 20))
    async with bench(on_loop) as b:
        with_keys(b, OLD)
        from offload.domain.clock import now_ms

        late = await b.enqueue("e.on_loop", EnqueueOptions(deadline_ms=now_ms() + 200), word="one")
        waits = await b.enqueue("e.on_loop", EnqueueOptions(delay=3600), word="two")
        with_keys(b)
        async with b.worker():
            await b.client.abort(waits)
            aborted, dead = await b.ended(waits), await b.ended(late)

    assert aborted.status is Status.ABORTED
    assert (dead.status, dead.error.type) == (Status.DEAD, "DeadlineExceeded")


async def test_what_was_tampered_with_is_dead(bench, redis):
    """A payload that somebody changed in Redis is not run."""
    async with bench(on_loop) as b:
        keys = with_keys(b, OLD)
        job_id = await b.enqueue("e.on_loop", word="one")
        sealed = await redis.get("arq:job:" + job_id)
        await redis.set("arq:job:" + job_id, sealed[:-1] + bytes([sealed[-1] ^ 1]), keepttl=True)
        async with b.worker(**keys):
            record = await b.ended(job_id)

    assert (record.status, record.error.type.rpartition(".")[2]) == (Status.DEAD, "Undecodable")
    assert "it was changed since key" in record.error.message


async def test_a_dead_job_is_replayed(bench):
    """Its arguments are kept encrypted, and are read again."""
    async with bench(fails) as b:
        keys = with_keys(b, OLD)
        async with b.worker(**keys):
            first = await b.run("e.fails", word=WORD)
            await b.client.retry(first.id)
            await b.entered(first.id, "running")
            again = await b.ended(first.id)

    assert (first.status, again.status, again.args) == (Status.DEAD, Status.DEAD, {"word": WORD})


async def test_arqs_own_producer_and_job_work_with_the_codec(bench, redis, redis_server):
    """`create_pool` and `arq.jobs.Job` with the codec's functions put encrypted jobs in and read encrypted results."""
    codec = Codec.named("json", Sealer([OLD]))
    async with bench(on_loop) as b:
        keys = with_keys(b, OLD)
        pool = await create_pool(
            settings_of(redis_server.url), job_serializer=codec.serialize, job_deserializer=codec.deserialize
        )
        async with contextlib.aclosing(pool):
            put = await pool.enqueue_job("e.on_loop", WORD)
            stored = await redis.get("arq:job:" + put.job_id)
            async with b.worker(**keys):
                await b.ended(put.job_id)
                result = await put.result(timeout=5, poll_delay=0.01)
                info = await Job(put.job_id, redis, _deserializer=codec.deserialize).result_info()

    assert stored.startswith(b"OFS1")
    assert result == ANSWER
    assert info.result == ANSWER


async def test_an_api_without_the_key_says_so(bench, redis_server, tmp_path):
    """Its document has no arguments and no result, and the result's path is a problem that names the key."""
    catalogue = Catalogue(of_functions(ALL))
    async with bench(on_loop) as b:
        keys = with_keys(b, OLD)
        async with b.worker(**keys):
            record = await b.run("e.on_loop", word=WORD)
        answers = {}
        for given in ([], [NEW, OLD]):
            app = create_app(settings_for(redis_server.url, tmp_path, encryption_keys=given), catalogue)
            transport = httpx.ASGITransport(app)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://localhost") as api,
            ):
                path = f"/v1/jobs/{record.id}"
                answers[len(given)] = await api.get(path), await api.get(path + "/result"), await api.get("/v1/jobs")
    document, result, listed = answers[0]

    assert (document.json()["status"], document.json()["args"], document.json()["result"]) == ("succeeded", None, None)
    assert is_problem(result, 500, "encryption-key-missing")
    assert read_keys([OLD])[0].id.hex() in result.json()["detail"]
    assert listed.json()["items"][0]["args"] is None
    assert [answer.status_code for answer in answers[2]] == [200, 200, 200]
    assert answers[2][0].json()["args"] == {"word": WORD}
    assert answers[2][1].json() == ANSWER


@pytest.mark.parametrize("kind", ["json", "pickle"])
def test_every_process_takes_the_keys_from_the_settings(kind, tmp_path):
    """API, CLI and worker seal by the same setting, and so does arq's pool within the worker."""
    settings = settings_for("redis://127.0.0.1:1/0", tmp_path, encryption_keys=[NEW, OLD], serializer=kind)
    arguments = arq_arguments(settings, Catalogue())
    workers = Codec.custom(arguments["job_serializer"], arguments["job_deserializer"])
    sealed = codec_of(settings).encode_job("t.f", {"a": 1}, 1)

    assert sealed[4:8] == read_keys([NEW])[0].id
    assert workers.decode_job(sealed).kwargs == {"a": 1}
    assert arguments["job_serializer"]({"t": None}).startswith(b"OFS1")
    assert workers.kind == kind
