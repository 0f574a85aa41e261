"""`offload demo`: what a newcomer runs first."""

import json
import os
import signal
import subprocess
import sys

import pytest

FUNCTIONS = {
    "pdf.render", "image.thumbnails", "mail.send", "http.request", "llm.complete", "digest.pbkdf2", "demo.flaky",
    "demo.sleep", "demo.tick",
}  # fmt: skip


COMMAND = [sys.executable, "-P", "-m", "offload", "demo"]


def environment(directory, **settings):
    """This environment without settings but these, and with the directory for temporary files."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OFFLOAD_")}
    return {**env, **settings, "TMPDIR": str(directory)}


def demo(directory, *options, **settings):
    """Run the demo in a directory, without settings but these."""
    return subprocess.run(
        [*COMMAND, *options],
        cwd=directory,
        env=environment(directory, **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


@pytest.mark.timeout(180)
def test_the_demo_finds_everything_right(tmp_path):
    """The demo runs every shipped job over HTTP, finds every result right, and leaves nothing behind."""
    done = demo(tmp_path)
    lines = done.stdout.splitlines()
    jobs = [line for line in lines if line.startswith("ok")]

    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split()[1] for line in jobs} == FUNCTIONS
    assert len(jobs) == 11
    assert any(line.startswith("/livez during the demo: ") and line.endswith(", 0 failed") for line in lines)
    assert lines[-1].startswith("all 11 jobs passed in ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(180)
def test_the_demo_speaks_json_and_keeps_what_was_made(tmp_path):
    """`--json` prints one document with every job, and `--keep` has the files that the jobs made."""
    done = demo(tmp_path, "--json", "--keep", str(tmp_path / "kept"))
    said = json.loads(done.stdout)
    kept = {path.name for path in (tmp_path / "kept").iterdir()}

    assert done.returncode == 0, done.stderr
    assert said["ok"] is True
    assert [job["status"] for job in said["jobs"]].count("succeeded") == 10
    assert {"packages-of-this-machine.pdf", "thumbnail-96.webp", "mail.eml", "service.log"} <= kept


@pytest.mark.timeout(180)
def test_the_demo_names_what_is_wrong(tmp_path):
    """A job that does not do what it should makes the demo fail, and is named."""
    done = demo(tmp_path, OFFLOAD_LLM_COMMAND="false")

    assert done.returncode == 1
    assert "FAILED:" in done.stderr
    assert "llm.complete (language model, prompt 1): it is dead, not succeeded" in done.stderr
    assert "FAILED llm.complete" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_stopped_cleans_up(tmp_path, number, code):
    """Ctrl-C and SIGTERM in the middle of the demo stop the service and remove its directory, without a traceback."""
    process = subprocess.Popen(
        [*COMMAND], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("starting ")
    assert process.stdout.readline().startswith("ready in ")
    process.send_signal(number)
    _, said = process.communicate(timeout=50)

    assert process.returncode == code
    assert said == ""
    assert list(tmp_path.iterdir()) == []
