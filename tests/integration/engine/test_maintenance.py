"""What a worker does while it runs jobs: heartbeats by the clock of Redis, removal of old artifact files."""

import asyncio
import os
import sys
import time

import pytest
from structlog.testing import capture_logs

from offload import JobContext, job
from offload.domain import clock
from offload.store import keys
from offload.store.fleet import stats, workers
from offload.store.jobs.artifacts import ArtifactFiles
from offload.worker.maintenance import remove_old_artifacts

HOUR_MS = 3_600_000
DAY_S = 86_400


@pytest.mark.parametrize("skew_ms", [-HOUR_MS, HOUR_MS])
async def test_a_worker_with_a_wrong_clock_is_as_alive_as_any_other(bench, redis, monkeypatch, skew_ms):
    """Its heartbeat is timed by Redis, so an hour makes nobody take it for dead, or show a time that is not so."""

    @job(name="m.add")
    async def add(ctx: JobContext, a: int) -> int:
        return a + 1

    skew_clock(monkeypatch, skew_ms)
    async with bench(add) as b, b.worker() as worker:
        await stats.prune(redis)
        score_ms = await redis.zscore(keys.WORKERS, worker.worker_id)
        (description,) = await b.inspector.workers()
        redis_ms = await workers.clock_ms(redis)
        record = await b.run("m.add", a=1)

    assert abs(redis_ms - clock.now_ms()) > HOUR_MS / 2
    assert redis_ms - score_ms == pytest.approx(redis_ms - description["beat"])
    assert 0 <= redis_ms - description["beat"] < 10_000
    assert (description["id"], record.worker, record.result) == (worker.worker_id, worker.worker_id, b"2")


async def test_every_worker_removes_old_artifact_files(bench):
    """No job has to be loaded or scheduled for it; what is younger than a dead job's keep stays, and can be read."""

    @job(name="m.keep")
    async def keep(ctx: JobContext) -> str:
        return ctx.artifact("a.txt", b"young").id

    async with bench(keep) as b:
        files = ArtifactFiles(b.artifacts)
        old = files.write("old.txt", b"old")
        age(files.path(old.id), 31 * DAY_S)
        async with b.worker():
            while files.path(old.id).exists():  # noqa: ASYNC110 - it is gone from one moment to the next
                await asyncio.sleep(0.01)
            young = (await b.run("m.keep")).result.decode().strip('"')

    assert await asyncio.to_thread(files.read, young) == b"young"


async def test_workers_that_share_a_directory_remove_each_file_once(tmp_path):
    """They do not disturb each other, and together they remove all that is old and nothing else."""
    files = ArtifactFiles(tmp_path / "artifacts")
    old = [files.write("old", b"old") for _ in range(200)]
    young = files.write("young", b"young")
    for artifact in old:
        age(files.path(artifact.id), 2 * DAY_S)
    cut_short = files.path(old[0].id).with_suffix(".0123abcd.part")
    cut_short.write_bytes(b"o")
    age(cut_short, 2 * DAY_S)
    foreign = cut_short.with_name("notes.txt")
    foreign.write_bytes(b"not ours")
    age(foreign, 2 * DAY_S)
    with capture_logs() as logged:
        walks = [
            asyncio.create_task(remove_old_artifacts(files, DAY_S * 1000, interval=0.001, rest=60)) for _ in range(3)
        ]
        async with asyncio.timeout(20):
            while len(left(files)) > 2:  # noqa: ASYNC110 - three walks are under way
                await asyncio.sleep(0.01)
            while sum(event["files"] for event in logged) < 201:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        for walk in walks:
            walk.cancel()
        await asyncio.gather(*walks, return_exceptions=True)

    assert left(files) == sorted([files.path(young.id), foreign])
    assert sum(event["files"] for event in logged) == 201


async def test_a_disk_that_refuses_does_not_stop_a_worker(tmp_path):
    """It is logged, and tried again later."""

    class Refusing(ArtifactFiles):
        def folders(self):
            raise PermissionError(13, "Permission denied")

    with capture_logs() as logged:
        walk = asyncio.create_task(remove_old_artifacts(Refusing(tmp_path), 0, rest=0.001))
        while len(logged) < 2:  # noqa: ASYNC110 - the second try comes by itself
            await asyncio.sleep(0.005)
        walk.cancel()
        await asyncio.gather(walk, return_exceptions=True)

    assert "Permission denied" in logged[0]["error"]


def test_a_directory_that_is_not_there_yet_has_no_files(tmp_path):
    """A fleet whose jobs make no files has no directory for them."""
    files = ArtifactFiles(tmp_path / "none")

    assert (files.folders(), files.names("ab"), files.remove_older(0)) == ([], [], 0)


def skew_clock(monkeypatch, skew_ms):
    """Have everything in this process read a wall clock that is wrong."""
    right = clock.now_ms
    for name, module in list(sys.modules.items()):
        if name.startswith("offload.") and getattr(module, "now_ms", None) is right:
            monkeypatch.setattr(module, "now_ms", lambda: right() + skew_ms)


def age(path, seconds):
    """Make a file older."""
    at = time.time() - seconds
    os.utime(path, (at, at))


def left(files):
    """Every file in the directory."""
    return sorted(files.directory.glob("??/*"))
