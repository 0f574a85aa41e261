"""The commands by which a person operates the service, and what the audit has of them."""

import asyncio
import os
import pwd

import pytest

from offload.store.connection.connection import client, settings_of
from offload.store.fleet.capped_stream import list_entries

ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


@pytest.fixture
async def audited(redis_server):
    """Return action, target and person of the audit, oldest first."""

    async def audited():
        redis = client(settings_of(redis_server.url))
        entries, _ = await list_entries(redis, "offload:audit", 100, None)
        await redis.aclose()
        return [(one["action"], one["target"], one["who"]) for one in reversed(entries)]

    return audited


def test_a_queue_is_paused_and_resumed(on_redis):
    """Both print the new state; the list, and `--json`, name the person."""
    paused = on_redis("queues", "pause", "mail")
    listed = on_redis("queues", "list").out
    document = on_redis("queues", "pause", "mail", "--json").json
    resumed = on_redis("queues", "resume", "mail").out

    assert paused.out.startswith(f"mail paused by {ME} ")
    assert f"paused by {ME}" in listed
    assert (document["paused"], document["paused_by"]) == (True, ME)
    assert resumed == "mail active\n"


def test_schedules_are_listed_run_and_paused(on_redis):
    """The code's schedules; running one prints the job's id."""
    listed = on_redis("schedules", "list", "--json").json["items"]
    table = on_redis("schedules", "list").out
    job_id = on_redis("schedules", "run", "report.daily").out.strip()
    job = on_redis("jobs", "show", job_id, "--json").json
    paused = on_redis("schedules", "pause", "report.daily").out
    document = on_redis("schedules", "resume", "report.daily", "--json").json

    assert [one["name"] for one in listed] == ["report.daily"]
    assert "0 6 * * * (UTC)" in table
    assert (job["function"], job["status"]) == ("report.daily", "queued")
    assert paused == "report.daily paused\n"
    assert (document["paused"], document["last_job"]) == (False, job_id)


def test_a_job_is_explained_in_a_sentence(on_redis):
    """`jobs explain` prints why it does not run; `--json` has the facts."""
    job_id = on_redis("enqueue", "demo.tick").out.strip()
    said = on_redis("jobs", "explain", job_id)
    document = on_redis("jobs", "explain", job_id, "--json").json

    assert said.out == "Waiting for a worker: no live worker serves queue 'default'.\n"
    assert (document["reason"], document["job_id"]) == ("no-worker", job_id)


@pytest.mark.parametrize(
    "words",
    [
        ("queues", "pause", "mial"),
        ("queues", "resume", "mial"),
        ("schedules", "run", "none"),
        ("schedules", "pause", "none"),
        ("jobs", "explain", "nobody"),
    ],
)
def test_what_does_not_exist_is_usage(on_redis, words):
    """A misspelt name exits with 2 and one line that has it."""
    said = on_redis(*words)

    assert (said.code, said.out) == (2, "")
    assert repr(words[-1]) in said.err
    assert said.err.count("\n") == 1


async def test_what_a_person_does_at_the_shell_is_in_the_audit(on_redis, audited):
    """By the account of the shell: aborts, retries, pauses, resumptions, schedules run by hand."""
    import asyncio

    def act():
        job_id = on_redis("enqueue", "demo.tick").out.strip()
        for words in (
            ("jobs", "abort", job_id),
            ("jobs", "retry", job_id),
            ("queues", "pause", "mail"),
            ("queues", "resume", "mail"),
            ("schedules", "run", "report.daily"),
            ("schedules", "pause", "report.daily"),
            ("schedules", "resume", "report.daily"),
        ):
            on_redis(*words)
        return job_id

    job_id = await asyncio.to_thread(act)

    assert await audited() == [
        ("job.abort", job_id, ME),
        ("job.retry", job_id, ME),
        ("queue.pause", "mail", ME),
        ("queue.resume", "mail", ME),
        ("schedule.run", "report.daily", ME),
        ("schedule.pause", "report.daily", ME),
        ("schedule.resume", "report.daily", ME),
    ]


def test_a_function_is_moved_and_back(on_redis):
    """`functions NAME --runs-in` prints the new place and the person who moved it; `default` reverts it."""
    moved = on_redis("functions", "digest.pbkdf2", "--runs-in", "process")
    document = on_redis("functions", "digest.pbkdf2", "--runs-in", "process", "--json").json
    back = on_redis("functions", "digest.pbkdf2", "--runs-in", "default")

    assert moved.out == f"digest.pbkdf2 runs in a process, moved by {ME}\n"
    assert (document["runs_in"], document["override"]["by"]) == ("process", ME)
    assert back.out == "digest.pbkdf2 runs in a thread\n"


def test_what_cannot_be_moved_is_a_wrong_call(on_redis):
    """An async def, no function at all, and a place that there is not."""
    said = [
        on_redis("functions", "mail.send", "--runs-in", "process"),
        on_redis("functions", "--runs-in", "process"),
        on_redis("functions", "digest.pbkdf2", "--runs-in", "loop"),
    ]

    assert [one.code for one in said] == [2, 2, 2]
    assert "only a `def` can be moved" in said[0].err
    assert "--runs-in needs a function" in said[1].err


async def test_a_move_stands_in_the_audit(on_redis, audited):
    """As one over HTTP does."""
    await asyncio.to_thread(on_redis, "functions", "digest.pbkdf2", "--runs-in", "process")

    assert await audited() == [("function.override", "digest.pbkdf2", ME)]
