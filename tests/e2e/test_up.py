"""`offload up`: the whole service with one command, and nothing left of it afterwards, however it ends."""

import json
import signal
import time
from pathlib import Path

import httpx
import pytest

from support.up import JOBS, up_in

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc"),
    pytest.mark.timeout(120),  # some start the whole service twice
]


@pytest.fixture
def up(tmp_path):
    """An `offload up` of the test's own."""
    with up_in(tmp_path) as made:
        yield made


def test_one_command_is_the_whole_service(up):
    """`up` serves HTTP and runs jobs, commands in another shell find its Redis, and Ctrl-C ends all of it in time."""
    up.start()
    health = httpx.get(f"{up.url}/readyz", trust_env=False).status_code
    done = up.offload("enqueue", "shop.add", "a=2", "b=3", "--wait", "20")
    workers = up.offload("workers", "--json")
    pids = up.processes()
    began = time.monotonic()
    up.process.send_signal(signal.SIGINT)
    code = up.ends()
    took = time.monotonic() - began

    assert health == 200
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
    assert '"functions":["shop.add","shop.hold","shop.sleep","webhook.callback"]' in workers.stdout
    assert code == 0, up.said
    assert took < 10
    assert len(pids) >= 5
    assert up.processes() == {}
    assert not (up.directory / "data" / "up.json").exists()
    assert up.said.index("worker_stopped") < up.said.index("Shutting down")


def test_each_line_says_who_said_it(up):
    """The log lines of API and worker stand behind their names."""
    up.start("--workers", "2")
    up.process.send_signal(signal.SIGTERM)
    code = up.ends()
    names = {line.split(" | ")[0].strip() for line in up.said.splitlines() if " | " in line}

    assert code == 0
    assert names == {"api", "worker-1", "worker-2"}


def test_jobs_survive_a_restart(up):
    """What was put in before `up` stopped runs after it was started again on the same directory."""
    up.start()
    job_id = up.offload("enqueue", "shop.add", "a=1", "b=1", "--delay", "3").stdout.strip()
    up.process.send_signal(signal.SIGINT)
    up.ends()
    up.process.stdout.close()
    up.start()
    done = up.offload("jobs", "wait", job_id, "--timeout", "20")

    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_nothing_is_left_when_up_is_killed(up):
    """SIGKILL of `up`, which runs no code of its, ends Redis, API and workers all the same."""
    up.settings["OFFLOAD_SHUTDOWN_GRACE"] = "1"
    up.start()
    pids = up.processes()
    up.process.kill()
    up.process.wait()
    up.wait_until_gone(pids)

    assert len(pids) >= 5
    assert up.processes() == {}


def test_nothing_is_left_when_up_is_killed_while_a_job_runs(up):
    """A job that runs when `up` is killed keeps nothing alive longer than the grace, and is not lost."""
    up.settings |= {"OFFLOAD_SHUTDOWN_GRACE": "1", "OFFLOAD_LEASE_SECONDS": "2"}
    up.start()
    job_id = up.offload("enqueue", "shop.sleep", "seconds=100").stdout.strip()
    up.hear("job_started")
    pids = up.processes()
    up.process.kill()
    up.process.wait()
    up.wait_until_gone(pids)
    up.process.stdout.close()
    up.start(until=f"job_started .*{job_id}")

    assert up.said.count(f"job_id={job_id} function=shop.sleep queue=default") == 2


def test_a_second_ctrl_c_stops_at_once(up):
    """The first Ctrl-C lets a running job go on for the grace; the second puts it back now."""
    up.start()
    job_id = up.offload("enqueue", "shop.sleep", "seconds=100").stdout.strip()
    up.hear("job_started")
    began = time.monotonic()
    up.process.send_signal(signal.SIGINT)
    up.hear("worker_stopping")
    up.process.send_signal(signal.SIGINT)
    up.ends()
    took = time.monotonic() - began

    assert took < 10
    assert f"job_requeued             job_id={job_id}" in up.said
    assert up.processes() == {}


def test_a_change_of_the_code_is_taken_in(up):
    """Under --reload API and worker start over when a job module changes, also after one that did not import."""
    up.start("--reload")
    before = up.offload("enqueue", "shop.add", "a=2", "b=3", "--wait", "20").stdout
    (up.directory / "shop.py").write_text("def broken(:\n")
    up.hear("SyntaxError")
    up.hear("restarting after the next change")
    (up.directory / "shop.py").write_text(JOBS.replace("a + b", "a * b"))
    up.hear("changed: shop.py")
    up.hear("ready again")
    after = up.offload("enqueue", "shop.add", "a=2", "b=3", "--wait", "20").stdout

    assert (before, after) == ("5\n", "6\n")


def test_a_job_module_that_does_not_import_is_shown(up):
    """A broken job module refuses to start, with the user's own traceback, once, and exit code 3."""
    (up.directory / "shop.py").write_text("def helper():\n    return {}['missing']\n\nhelper()\n")
    code, said = up.refused()
    lines = said.splitlines()

    assert code == 3
    assert lines[0] == "Traceback (most recent call last):"
    assert f'{up.directory}/shop.py", line 2, in helper' in said
    assert lines[-1] == "error: the job module 'shop' does not import: KeyError: 'missing'"
    assert said.count("Traceback") == 1
    assert "service/offload/" not in said
    assert up.processes() == {}


def test_a_module_without_job_functions_is_one_line(up):
    """A worker that would have nothing to run says so, instead of dying again and again."""
    (up.directory / "shop.py").write_text("")
    code, said = up.refused()

    assert code == 3
    assert said == "error: no job functions in shop (OFFLOAD_JOBS): a worker has nothing to run\n"


def test_a_directory_that_cannot_be_written_is_one_line(up):
    """A data directory that cannot be made is named in one line."""
    (up.directory / "file").write_text("")
    up.settings["OFFLOAD_DATA_DIR"] = str(up.directory / "file" / "data")
    code, said = up.refused()

    assert code == 3
    assert said == (
        f"error: cannot write to the data directory {str(up.directory / 'file' / 'data')!r} (OFFLOAD_DATA_DIR): "
        "Not a directory\n"
    )


def test_no_redis_at_the_address_is_one_line(up):
    """With an address at which no Redis answers nothing is started."""
    up.settings["OFFLOAD_REDIS_URL"] = "redis://127.0.0.1:1/0"
    code, said = up.refused()

    assert code == 3
    assert said.startswith("error: no Redis at redis://127.0.0.1:1/0: ")
    assert said.count("\n") == 1


def test_one_stall_is_seen_everywhere(up):
    """In the list while it lasts and after it, in the log, in /metrics, on the job, and in the exit code."""
    up.start("--fail-on-stall")
    up.offload("enqueue", "shop.add", "a=1", "b=1", "--wait", "20")
    job_id = up.offload("enqueue", "shop.hold", "seconds=3").stdout.strip()
    blocked = up.hear(r"loop_blocked.*", 20)[0]
    ongoing = httpx.get(f"{up.url}/v1/stalls", trust_env=False).json()["ongoing"]
    stalled = up.hear(r"loop_stalled.*shop\.hold.*|loop_stalled.*time\.sleep.*", 20)[0]
    job = json.loads(up.offload("jobs", "show", job_id, "--json").stdout)
    (stall,) = httpx.get(f"{up.url}/v1/stalls", params={"job_id": job_id}, trust_env=False).json()["items"]
    metrics = httpx.get(f"{up.url}/metrics", trust_env=False).text
    listed = up.offload("stalls", "--job", job_id).stdout
    up.process.send_signal(signal.SIGINT)
    code = up.ends()

    assert "held_s" in blocked
    assert [(one["job_id"], one["call"]) for one in ongoing] == [(job_id, "time.sleep(seconds)")]
    assert "time.sleep(seconds)" in stalled
    assert (stall["kind"], stall["function"], stall["call"]) == ("step", "shop.hold", "time.sleep(seconds)")
    assert 3000 <= stall["held_ms"] < 6000
    assert 'offload_stalls_total{kind="step",name="shop.hold"} 1.0' in metrics
    assert (job["status"], job["stalls"]) == ("succeeded", 1)
    assert "shop.py:" in listed
    assert (code, "shop.hold at shop.py:" in up.said) == (1, True)
