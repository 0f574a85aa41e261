"""The commands that enqueue jobs and look at them."""

import socket
from contextlib import closing

import pytest
from redis import Redis

from offload.cli import listening
from offload.settings import Settings
from support.keyspace import keyspace


def test_enqueue_prints_the_id_and_the_job_can_be_looked_at(on_redis):
    """`enqueue` prints an id, by which `jobs list` and `jobs show` know the job."""
    job_id = on_redis(
        "enqueue", "demo.sleep", "seconds=1.5", "--tag", "a", "--tag", "b", "--max-tries", "7"
    ).out.strip()
    listed = on_redis("jobs", "list", "--json").json
    shown = on_redis("jobs", "show", job_id, "--json").json
    view = on_redis("jobs", "show", job_id).out

    assert [item["id"] for item in listed["items"]] == [job_id]
    assert shown["args"] == {"seconds": 1.5}
    assert shown["tags"] == ["a", "b"]
    assert (shown["status"], shown["max_tries"]) == ("queued", 7)
    assert view.splitlines()[0] == "demo.sleep  queued"
    assert job_id in view
    assert '{"seconds":1.5}' in view


def test_enqueue_takes_every_option(on_redis):
    """Priority, deadline, a unique key: the second of a key prints the job that stands, also as JSON."""
    words = ["enqueue", "demo.tick", "--delay", "3600", "--deadline", "2099-01-01T00:00:00Z", "--priority", "3"]
    first = on_redis(*words, "--unique-key", "k", "--json").json
    again = on_redis("enqueue", "demo.tick", "--unique-key", "k").out.strip()
    document = on_redis("enqueue", "demo.tick", "--unique-key", "k", "--unique-for", "60", "--json").json
    wrong = on_redis("enqueue", "demo.tick", "--priority", "10")

    assert (first["priority"], first["unique_key"], first["deadline"]) == (3, "k", "2099-01-01T00:00:00.000Z")
    assert again == document["id"] == first["id"]
    assert document["priority"] == 3
    assert wrong.code == 2


def test_enqueue_prints_the_document_as_json(on_redis):
    """`enqueue --json` prints the job as the API answers it, secrets masked."""
    document = on_redis("enqueue", "digest.pbkdf2", "password=12345", "salt=x", "--json").json

    assert document["status"] == "queued"
    assert document["args"] == {"password": "**********", "salt": "x"}
    assert document["links"]["self"] == f"/v1/jobs/{document['id']}"


def test_a_delayed_job_is_deferred(on_redis):
    """`--delay` and `--run-at` put a job in for later; both at once are refused."""
    later = on_redis("enqueue", "demo.tick", "--delay", "3600", "--json").json
    then = on_redis("enqueue", "demo.tick", "--run-at", "2099-01-01T00:00:00Z", "--json").json
    both = on_redis("enqueue", "demo.tick", "--delay", "1", "--run-at", "2099-01-01T00:00:00Z")

    assert later["status"] == then["status"] == "deferred"
    assert then["run_at"] == "2099-01-01T00:00:00.000Z"
    assert (both.code, both.err) == (2, "error: use either delay or run_at, not both\n")


def test_a_misspelt_function_has_a_suggestion(on_redis):
    """An unknown function is usage (2), with the nearest name."""
    said = on_redis("enqueue", "mail.sned")

    assert (said.code, said.out) == (2, "")
    assert said.err == "error: no job function named 'mail.sned'; did you mean 'mail.send'?\n"


def test_a_misspelt_command_has_a_suggestion(offload):
    """An unknown command is usage (2), with the nearest name."""
    said = offload("enqueu")

    assert said.code == 2
    assert said.err.startswith("error: No such command 'enqueu'. Did you mean 'enqueue'")


def test_every_invalid_argument_is_named_by_its_path(on_redis):
    """Invalid arguments are usage (2): each with its path, and nothing is stored."""
    message = '{"to": ["nobody"], "subject": "x"}'
    said = on_redis("enqueue", "mail.send", f"message={message}", "colour=red")
    lines = said.err.splitlines()

    assert said.code == 2
    assert lines[0].startswith("error: invalid arguments for 'mail.send'")
    assert sorted(line.split(":")[0].strip() for line in lines[1:]) == ["colour", "message.from", "message.to.0"]
    assert on_redis("jobs", "list", "--json").json["items"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["enqueue", "demo.sleep", "seconds"], "'seconds' is not key=value"),
        (["enqueue", "demo.sleep", "--args", "{"], "--args is not JSON"),
        (["enqueue", "demo.tick", "--delay", "soon"], "--delay"),
        (["enqueue", "demo.tick", "--max-tries", "0"], "max_tries=0 must be from 1 to 1000"),
        (["enqueue", "demo.tick", "--queue", "?"], "'?' is not a queue name"),
        (["jobs", "show", "nosuchjob"], "job 'nosuchjob' not found"),
        (["jobs", "wait", "nosuchjob"], "job 'nosuchjob' not found"),
        (["jobs", "abort", "nosuchjob"], "job 'nosuchjob' not found"),
        (["jobs", "retry", "nosuchjob"], "job 'nosuchjob' not found"),
        (["jobs", "list", "--status", "done"], "--status"),
        (["jobs", "list", "--cursor", "xyz"], "'xyz' is not a cursor"),
        (["functions", "demo.slep"], "did you mean 'demo.sleep'?"),
    ],
)
def test_bad_input_is_usage(on_redis, words, said):
    """Invalid input exits with 2 and one line that names it."""
    answer = on_redis(*words)

    assert answer.code == 2
    assert answer.out == ""
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_waiting_prints_the_result(on_redis, work):
    """`jobs wait` prints the result of a job that succeeded, and exits with 0."""
    job_id = on_redis("enqueue", "demo.flaky", "fail_times=0").out.strip()
    work()
    said = on_redis("jobs", "wait", job_id)

    assert (said.code, said.out) == (0, '{"attempt":1}\n')


def test_waiting_for_a_job_that_failed_exits_with_1(on_redis, work):
    """A dead job is exit code 1 with its error; `jobs show` has every failed attempt with its traceback."""
    job_id = on_redis("enqueue", "demo.flaky", "--max-tries", "1").out.strip()
    work()
    said = on_redis("jobs", "wait", job_id)
    view = on_redis("jobs", "show", job_id).out

    assert (said.code, said.out) == (1, "")
    assert "NotYet: attempt 1 of 2 that fail on purpose\n" in said.err
    assert said.err.startswith(f"error: job {job_id} is dead: ")
    assert "demo.flaky  dead" in view
    assert "attempt 1, " in view
    assert "raise NotYet(msg)" in view
    assert on_redis("jobs", "list", "--status", "dead", "--json").json["items"][0]["id"] == job_id
    assert on_redis("jobs", "list", "--status", "succeeded").out == "no jobs match\n"


def test_a_wait_that_takes_too_long_exits_with_1(on_redis):
    """A job that does not finish in time continues; the exit code says that there is no result."""
    job_id = on_redis("enqueue", "demo.tick").out.strip()
    said = on_redis("jobs", "wait", job_id, "--timeout", "0.01")

    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"error: timed out after 0.01 s: job {job_id} is still queued (see: offload jobs explain {job_id})\n"
    )


def test_enqueue_can_wait(on_redis):
    """`enqueue --wait SECONDS` waits so long, and tells as `jobs wait` does."""
    said = on_redis("enqueue", "demo.tick", "--wait", "0.01")

    assert said.code == 1
    assert "timed out after 0.01 s: job " in said.err


def test_a_job_is_aborted_and_put_back(on_redis):
    """`jobs abort` stops a job that waits at once, `jobs retry` puts it back, and both say where it stands now."""
    job_id = on_redis("enqueue", "demo.tick").out.strip()
    aborted = on_redis("jobs", "abort", job_id).out
    waited = on_redis("jobs", "wait", job_id, "--json")
    retried = on_redis("jobs", "retry", job_id).out

    assert aborted == f"{job_id} aborted\n"
    assert (waited.code, waited.json["status"]) == (1, "aborted")
    assert retried == f"{job_id} queued\n"
    assert on_redis("jobs", "show", job_id, "--json").json["status"] == "queued"


def test_a_list_goes_on_where_it_ended(on_redis):
    """`jobs list --limit` gives a cursor that leads to the rest."""
    ids = {on_redis("enqueue", "demo.tick").out.strip() for _ in range(3)}
    first = on_redis("jobs", "list", "--limit", "2", "--json").json
    rest = on_redis("jobs", "list", "--cursor", first["next"], "--json").json

    assert {item["id"] for item in first["items"] + rest["items"]} == ids
    assert rest["next"] is None
    assert f"more: --cursor {first['next']}" in on_redis("jobs", "list", "--limit", "2").out


def test_queues_are_listed_with_their_limits(on_redis, work):
    """`queues list` knows every declared queue, the number of its jobs and the limits that a worker declared."""
    work()
    on_redis("enqueue", "llm.complete", "prompt=x")
    queues = {queue["name"]: queue for queue in on_redis("queues", "list", "--json").json["items"]}

    assert queues["llm"]["queued"] == 1
    assert queues["llm"]["max_running"] == 2
    assert "llm" in on_redis("queues", "list").out


def test_commands_that_read_write_nothing(on_redis, redis_server):
    """Commands that show something leave Redis byte for byte as it was, though their code has other limits than it."""
    with Redis.from_url(redis_server.url) as fleet:
        fleet.hset("offload:queue:llm", mapping={"max_running": 9, "rate_count": 3, "rate_ms": 1000})
        fleet.sadd("offload:queues", "llm")
    on_redis("enqueue", "demo.tick")
    before = keyspace(redis_server.url)
    shows = (("queues", "list"), ("jobs", "list"), ("workers",), ("stalls",), ("schedules", "list"), ("functions",))
    codes = [on_redis(*words).code for words in shows]

    assert codes == [0] * len(shows)
    assert keyspace(redis_server.url) == before


def test_no_workers_is_said_so(on_redis):
    """`workers` without a worker tells how to start one."""
    assert on_redis("workers").out == "no workers; start one with `offload worker`\n"
    assert on_redis("workers", "--json").json == {"items": [], "next": None}


def test_functions_needs_no_redis(offload):
    """`functions` lists what the job modules offer, and shows one with its schema, without any Redis."""
    listed = {one["name"]: one for one in offload("functions", "--json").json["items"]}
    view = offload("functions", "digest.pbkdf2").out

    assert listed["pdf.render"]["runs_in"] == "process"
    assert listed["demo.sleep"]["policy"]["timeout"] == 3700
    assert "digest.pbkdf2  runs in a thread, queue default, timeout 60, max tries 2" in view
    assert '"writeOnly": true' in view
    assert "demo.flaky" in offload("functions").out


def test_no_redis_is_one_line(offload, monkeypatch):
    """Without a Redis at the URL a command exits with 3, without waiting and in one line."""
    monkeypatch.setenv("OFFLOAD_REDIS_URL", "redis://127.0.0.1:1/0")
    said = offload("jobs", "list")

    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("error: no Redis at redis://127.0.0.1:1/0: ")
    assert said.err.count("\n") == 1


def test_invalid_settings_are_named(offload, monkeypatch):
    """A bad setting exits with 3 and one line with its variable."""
    monkeypatch.setenv("OFFLOAD_MAX_JOBS", "many")
    said = offload("functions")

    assert said.code == 3
    assert said.err.startswith("error: OFFLOAD_MAX_JOBS: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("command", ["api", "up"])
def test_a_taken_port_is_one_line(offload, command):
    """A port that is taken exits with 3 and says so, before anything is started."""
    with closing(listening.listen(Settings(port=0))) as taken:
        port = str(taken.getsockname()[1])
        said = offload(command, "--port", port)

    assert said.code == 3
    assert said.err.startswith(f"error: port {port} on 127.0.0.1 is in use; ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("command", ["api", "up"])
def test_no_address_but_loopback_without_keys(offload, command):
    """Without keys the API refuses to listen where others could reach it."""
    said = offload(command, "--host", socket.inet_ntoa(b"\0\0\0\0"), "--port", "0")

    assert said.code == 3
    assert "OFFLOAD_API_KEYS must be set" in said.err
    assert said.err.count("\n") == 1


def test_the_version_is_printed(offload):
    """`--version` prints the version and nothing else."""
    said = offload("--version")

    assert said.code == 0
    assert said.out.strip().replace(".", "").isdigit()


def test_enqueue_says_when_no_replica_confirmed_the_job(on_redis, monkeypatch):
    """It exits with 3, and one line says that the job is stored all the same."""
    monkeypatch.setenv("OFFLOAD_ENQUEUE_REPLICAS", "1")
    monkeypatch.setenv("OFFLOAD_ENQUEUE_CONFIRM_SECONDS", "0.05")
    said = on_redis("enqueue", "demo.sleep", "seconds=0")
    listed = on_redis("jobs", "list", "--json").json

    assert (said.code, said.out) == (3, "")
    assert f"job {listed['items'][0]['id']} is stored and may run" in said.err
