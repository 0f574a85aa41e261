"""An enqueue that waits until replicas or disks have the job."""

import asyncio

import pytest

from offload.domain.errors import Unavailable, Unconfirmed
from offload.store import keys
from offload.store.connection.connection import client, settings_of
from offload.store.jobs.codec import Codec
from offload.store.jobs.durability import Confirm
from offload.store.jobs.enqueue import JobStore, NewJob
from support.replicas import replicated


def new_job(job_id):
    return NewJob(job_id, "default", 0, b"payload", {"function": "t.f"})


async def calls(redis, command):
    """How often a command was called."""
    return (await redis.info("commandstats")).get(f"cmdstat_{command}", {}).get("calls", 0)


@pytest.fixture(scope="module")
def pair():
    """A master and its replica."""
    with replicated() as made:
        yield made


@pytest.fixture
async def master(pair):
    """A connection to the master, which is empty."""
    connection = client(settings_of(pair.url))
    await connection.flushall()
    await connection.config_resetstat()
    yield connection
    await connection.aclose()


@pytest.fixture
def stopped_replica(pair):
    """A replica that stands still."""
    pair.nodes[1].stop()
    yield pair.nodes[1]
    pair.nodes[1].go_on()


async def test_callers_of_one_moment_share_a_confirmation(master):
    """One script and one WAIT for all of them; single and many alike."""
    store = JobStore(master, Codec(), Confirm(replicas=1, timeout=4))
    stored = await asyncio.gather(*(store.enqueue(new_job(f"j{i}")) for i in range(50)))
    _, many = await store.enqueue_many([new_job("a"), new_job("b")])

    assert all(is_new for _, is_new in stored)
    assert many == [True, True]
    assert (await calls(master, "evalsha"), await calls(master, "wait")) == (2, 2)


@pytest.mark.parametrize(
    ("confirm", "waits", "waitaofs"),
    [
        (Confirm(0, "local", 4), 0, 2),
        (Confirm(1, "local", 4), 1, 2),
        (Confirm(1, "all", 4), 0, 2),
        (Confirm(), 0, 0),
    ],
)
async def test_disks_and_replicas_are_asked_as_the_settings_say(master, confirm, waits, waitaofs):
    """WAIT for memory, WAITAOF for disks, and once before to see whether the server can; neither by default."""
    store = JobStore(master, Codec(), confirm)
    _, is_new = await store.enqueue(new_job("a"))

    assert is_new
    assert (await calls(master, "wait"), await calls(master, "waitaof")) == (waits, waitaofs)


async def test_a_job_that_is_not_confirmed_is_stored(master, stopped_replica):
    """Each caller is told, of its own job, that it is stored but not confirmed; asking again waits anew."""
    store = JobStore(master, Codec(), Confirm(replicas=1, timeout=0.1))
    said = await asyncio.gather(*(store.enqueue(new_job(i)) for i in ("a", "b")), return_exceptions=True)
    with pytest.raises(Unconfirmed, match="2 jobs are stored and may run, but 0 of 1 replicas"):
        await store.enqueue_many([new_job("c"), new_job("d")])
    queued = await master.zrange("arq:queue", 0, -1)
    with pytest.raises(Unconfirmed, match="job a is stored"):
        await store.enqueue(new_job("a"))
    stopped_replica.go_on()
    patient = JobStore(master, Codec(), Confirm(replicas=1, timeout=4))
    _, is_new = await patient.enqueue(new_job("a"))

    assert [type(error) for error in said] == [Unconfirmed, Unconfirmed]
    assert [error.ids for error in said] == [("a",), ("b",)]
    assert sorted(queued) == [b"a", b"b", b"c", b"d"]
    assert not is_new


async def test_one_slow_confirmation_does_not_hold_up_the_next_batch(master, stopped_replica):
    """Batches wait side by side: eight callers, one after another, are all told within little more than one timeout."""
    store = JobStore(master, Codec(), Confirm(replicas=1, timeout=0.5))
    started = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for i in range(8):
            group.create_task(refused(store, f"j{i}"))
            await asyncio.sleep(0.01)
    took = asyncio.get_running_loop().time() - started

    assert took < 1


async def refused(store, job_id):
    with pytest.raises(Unconfirmed):
        await store.enqueue(new_job(job_id))


async def test_a_master_that_goes_away_meanwhile_confirms_nothing(pair, master, stopped_replica):
    """The caller learns that its job was stored, not where Redis is."""
    store = JobStore(master, Codec(), Confirm(replicas=1, timeout=4))
    putting = asyncio.ensure_future(store.enqueue(new_job("a")))
    while not await master.exists(keys.ARQ_JOB + "a"):  # noqa: ASYNC110 - Redis tells nobody
        await asyncio.sleep(0.01)
    for one in await master.client_list():
        if one["cmd"] == "wait":
            await master.client_kill_filter(_id=one["id"])
    with pytest.raises(Unconfirmed, match="Redis became unavailable before that was confirmed") as unsure:
        await putting

    assert "127.0.0.1" not in str(unsure.value)


async def test_a_server_without_a_log_on_disk_is_refused_before_anything_is_stored(redis):
    """WAITAOF cannot work there; the message names the setting and what it needs."""
    store = JobStore(redis, Codec(), Confirm(fsync="local"))
    with pytest.raises(Unavailable, match=r"OFFLOAD_ENQUEUE_FSYNC needs Redis 7\.2 or newer, with `appendonly yes`"):
        await store.enqueue(new_job("a"))

    assert not await redis.exists(keys.ARQ_JOB + "a")
