"""One `offload up` for all of these tests: none of them ends it, some kill a process that it starts again."""

import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from support.up import up_in

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc"),
    pytest.mark.timeout(120),  # some start the whole service twice
]


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """The service, in a directory with a package that has the name of Offload's own."""
    directory = tmp_path_factory.mktemp("up")
    (directory / "offload").mkdir()
    (directory / "offload" / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    with up_in(directory) as made:
        made.start()
        yield made


def test_a_package_of_the_users_named_offload_is_left_alone(up):
    """What lies in the working directory never takes the place of Offload's own code."""
    done = up.offload("enqueue", "shop.add", "a=2", "b=3", "--wait", "20")

    assert (done.returncode, done.stdout) == (0, "5\n"), up.said


def test_a_second_shell_needs_no_settings(up, monkeypatch):
    """A command without OFFLOAD_JOBS uses the modules of the running `up`, so the suggestion of its banner works."""
    suggested = re.search(r"Try +offload (.+)", up.said)[1].split()
    monkeypatch.delitem(up.settings, "OFFLOAD_JOBS")
    listed = up.offload("functions").stdout
    done = up.offload(*suggested)
    burst = up.offload("worker", "--burst")

    assert suggested == ["enqueue", "shop.hold", "seconds=2", "--wait"]
    assert done.returncode == 0, done.stderr
    assert listed.splitlines()[-1] == "job modules: shop (loaded by the running `offload up`)"
    assert "demo.sleep" not in listed
    assert burst.returncode == 0, burst.stderr
    assert '"functions":["shop.add","shop.hold","shop.sleep","webhook.callback"]' in burst.stderr


def test_a_taken_port_is_one_line(up):
    """A second `up` on the port of the first says that it is taken, and leaves the first alone."""
    port = up.url.rpartition(":")[2]
    done = up.offload("up", "--port", port)

    assert done.returncode == 3
    assert done.stderr == (
        f"error: port {port} on 127.0.0.1 is in use; "
        "stop the other program or choose another port (--port, OFFLOAD_PORT)\n"
    )
    assert httpx.get(f"{up.url}/readyz", trust_env=False).status_code == 200


def test_two_on_one_directory_are_refused(up):
    """A second `up` on the data directory of the first is refused with what to do."""
    code, said = up.refused()

    assert code == 3
    assert "is in use by another Offload" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("who", ["api", "worker"])
def test_a_child_that_dies_is_started_again(up, who):
    """An API or a worker that is killed is back soon, and works."""
    named = {"api": r"-m offload api\b", "worker": r"-m offload\.worker\.guardian\.supervisor\b"}[who]
    victim = next(pid for pid, line in up.processes().items() if re.search(named, line))
    os.kill(victim, signal.SIGKILL)
    up.hear(f"{who} was killed by SIGKILL; restarting in 0.1 s")
    up.hear({"api": "api_listening", "worker": "worker_started"}[who])
    answer = httpx.post(f"{up.url}/v1/functions/shop.add/jobs", json={"a": 1, "b": 2}, trust_env=False).json()
    done = httpx.get(f"{up.url}/v1/jobs/{answer['id']}", params={"wait": 20}, timeout=30, trust_env=False).json()

    assert (done["status"], done["result"]) == ("succeeded", 3)


def test_all_starts_anew_when_redis_dies(up):
    """When the embedded Redis is killed, it is started again with what it held, and so are API and worker."""
    job_id = up.offload("enqueue", "shop.add", "a=4", "b=4", "--delay", "600").stdout.strip()
    redis = next(pid for pid, line in up.processes().items() if "redis-server" in line.split(" ")[0])
    os.kill(redis, signal.SIGKILL)
    up.hear("the embedded Redis died; restarting everything")
    up.hear("Offload is up")
    status = httpx.get(f"{up.url}/readyz", trust_env=False).status_code

    assert status == 200
    assert up.offload("jobs", "show", job_id, "--json").returncode in {0, 2}  # Written once a second.
