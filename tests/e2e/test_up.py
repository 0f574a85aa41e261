"""`offload up`: the whole service with one command, and nothing left of it afterwards, however it ends."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")

JOBS = """
from offload import JobContext, job

@job
async def add(ctx: JobContext, a: int, b: int) -> int:
    return a + b

@job(timeout=120)
async def sleep(ctx: JobContext, seconds: float) -> None:
    import asyncio
    ctx.log.info("sleeping")
    await asyncio.sleep(seconds)

@job
async def hold(ctx: JobContext, seconds: float) -> None:
    import time
    time.sleep(seconds)
"""


class Up:
    """One `offload up` in a directory of its own, and the other commands beside it."""

    def __init__(self, directory):
        self.directory = directory
        self.process = None
        self.said = ""
        self.heard = 0
        self.settings = {"OFFLOAD_JOBS": "shop", "OFFLOAD_DATA_DIR": str(directory / "data")}
        (directory / "shop.py").write_text(JOBS)

    @property
    def env(self):
        return {**{k: v for k, v in os.environ.items() if not k.startswith("OFFLOAD_")}, **self.settings}

    def start(self, *options, until="Offload is up."):
        """Start it on a free port, and return when it has said `until`."""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "offload", "up", "--port", "0", *options],
            cwd=self.directory,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.hear(until)

    def hear(self, pattern, seconds=30):
        """Return the match once what `up` says has the pattern, after the match of the call before."""
        ends = time.monotonic() + seconds
        while (found := re.search(pattern, self.said[self.heard :])) is None:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, ends - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert chunk, f"{pattern!r} was not said:\n{self.said}"
            self.said += chunk.decode()
        self.heard += found.end()
        return found

    @property
    def url(self):
        return re.search(r"API +(http://\S+)/v1", self.said)[1]

    def offload(self, *words):
        """Run another command in the same directory, as in a second shell."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "offload", *words],
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def refused(self, *options):
        """Run `up` where it cannot work; return its exit code and what it said on stderr."""
        done = self.offload("up", "--port", "0", *options)
        return done.returncode, done.stderr

    def ends(self, seconds=30):
        """Wait for its end and return its exit code."""
        self.said += self.process.communicate(timeout=seconds)[0].decode()
        return self.process.returncode

    def processes(self):
        """Every process that has this directory in its environment, command line or working directory."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                about = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                about += os.fsencode((entry / "cwd").readlink())
                if str(self.directory).encode() in about:
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ").strip()
        return found

    def wait_until_gone(self, pids, seconds=30):
        """Wait for the end of processes that are not our children."""
        ends = time.monotonic() + seconds
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                try:
                    ready, _, _ = select.select([descriptor], [], [], max(0, ends - time.monotonic()))
                finally:
                    os.close(descriptor)
                assert ready, f"{pid} still runs: {self.processes()}"


@pytest.fixture
def up(tmp_path):
    made = Up(tmp_path)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()
        made.process.stdout.close()
    for pid in made.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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


def test_a_second_shell_needs_no_settings(up):
    """A command without OFFLOAD_JOBS uses the modules of the running `up`, so the suggestion of its banner works."""
    up.start()
    suggested = up.hear(r"Try +offload (.+)")[1].split()
    del up.settings["OFFLOAD_JOBS"]
    listed = up.offload("functions").stdout
    done = up.offload(*suggested)
    burst = up.offload("worker", "--burst")

    assert suggested == ["enqueue", "shop.hold", "seconds=2", "--wait"]
    assert done.returncode == 0, done.stderr
    assert listed.splitlines()[-1] == "job modules: shop (loaded by the running `offload up`)"
    assert "demo.sleep" not in listed
    assert burst.returncode == 0, burst.stderr
    assert '"functions":["shop.add","shop.hold","shop.sleep","webhook.callback"]' in burst.stderr


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
    up.settings["OFFLOAD_SHUTDOWN_GRACE"] = "1"
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


@pytest.mark.parametrize("who", ["api", "worker"])
def test_a_child_that_dies_is_started_again(up, who):
    """An API or a worker that is killed is back soon, and works."""
    up.start()
    named = {"api": r"-m offload api\b", "worker": r"-m offload\.worker\.guardian\.supervisor\b"}[who]
    victim = next(pid for pid, line in up.processes().items() if re.search(named, line))
    os.kill(victim, signal.SIGKILL)
    up.hear(f"{who} was killed by SIGKILL; restarting in 0.2 s")
    up.hear({"api": "api_listening", "worker": "worker_started"}[who])
    answer = httpx.post(f"{up.url}/v1/functions/shop.add/jobs", json={"a": 1, "b": 2}, trust_env=False).json()
    done = httpx.get(f"{up.url}/v1/jobs/{answer['id']}", params={"wait": 20}, timeout=30, trust_env=False).json()

    assert (done["status"], done["result"]) == ("succeeded", 3)


def test_all_starts_anew_when_redis_dies(up):
    """When the embedded Redis is killed, it is started again with what it held, and so are API and worker."""
    up.start()
    job_id = up.offload("enqueue", "shop.add", "a=4", "b=4", "--delay", "600").stdout.strip()
    redis = next(pid for pid, line in up.processes().items() if "redis-server" in line.split(" ")[0])
    os.kill(redis, signal.SIGKILL)
    up.hear("the embedded Redis died; restarting everything")
    up.hear("Offload is up")
    status = httpx.get(f"{up.url}/readyz", trust_env=False).status_code

    assert status == 200
    assert up.offload("jobs", "show", job_id, "--json").returncode in {0, 2}  # Written once a second.


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
    assert "offload/" not in said
    assert up.processes() == {}


def test_a_module_without_job_functions_is_one_line(up):
    """A worker that would have nothing to run says so, instead of dying again and again."""
    (up.directory / "shop.py").write_text("")
    code, said = up.refused()

    assert code == 3
    assert said == "error: no job functions in shop (OFFLOAD_JOBS): a worker has nothing to run\n"


def test_a_package_of_the_users_named_offload_is_left_alone(up):
    """What lies in the working directory never takes the place of Offload's own code."""
    (up.directory / "offload").mkdir()
    (up.directory / "offload" / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    up.start()
    done = up.offload("enqueue", "shop.add", "a=2", "b=3", "--wait", "20")

    assert (done.returncode, done.stdout) == (0, "5\n"), up.said


def test_a_taken_port_is_one_line(up):
    """A second `up` on the port of the first says that it is taken, and leaves the first alone."""
    up.start()
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
    up.start()
    code, said = up.refused()

    assert code == 3
    assert "is in use by another Offload" in said
    assert said.count("\n") == 1


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
