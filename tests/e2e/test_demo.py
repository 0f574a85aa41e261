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


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """One run of the demo in which nothing is wrong, told as a person is told; its directory has what it kept."""
    directory = tmp_path_factory.mktemp("right")
    return demo(directory, "--keep", str(directory / "kept")), directory


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """One run in which the language model fails, told as a program is told."""
    return demo(tmp_path_factory.mktemp("wrong"), "--json", OFFLOAD_LLM_COMMAND="false")


@pytest.mark.timeout(180)
def test_the_demo_finds_everything_right(right):
    """The demo runs every shipped job over HTTP, finds every result right, and leaves nothing behind."""
    done, directory = right
    lines = done.stdout.splitlines()
    jobs = [line for line in lines if line.startswith("ok")]

    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split()[1] for line in jobs} == FUNCTIONS
    assert len(jobs) == 11
    assert any(line.startswith("/livez during the demo: ") and line.endswith(", 0 failed") for line in lines)
    assert any(line.startswith("all 11 jobs passed in ") for line in lines)
    assert [path.name for path in directory.iterdir()] == ["kept"]


@pytest.mark.timeout(180)
def test_the_demo_keeps_what_was_made(right):
    """`--keep` has the files that the jobs made, and the logs; the last line names them."""
    done, directory = right
    kept = {path.name for path in (directory / "kept").iterdir()}

    assert {"packages-of-this-machine.pdf", "thumbnail-96.webp", "mail.eml", "service.log"} <= kept
    assert done.stdout.splitlines()[-1].startswith(f"files saved in {directory / 'kept'}: ")


@pytest.mark.timeout(180)
def test_the_demo_speaks_json(wrong):
    """`--json` prints one document with every job, and says as the exit code does that not all is right."""
    said = json.loads(wrong.stdout)

    assert (said["ok"], len(said["jobs"])) == (False, 11)
    assert {job["function"] for job in said["jobs"]} == FUNCTIONS
    assert {job["function"] for job in said["jobs"] if not job["ok"]} == {"llm.complete"}
    assert [job["status"] for job in said["jobs"]].count("succeeded") == 7
    assert said["livez"]["failed"] == 0


@pytest.mark.timeout(180)
def test_the_demo_names_what_is_wrong(wrong):
    """A job that does not do what it should makes the demo fail, and is named."""
    assert wrong.returncode == 1
    assert "FAILED:" in wrong.stderr
    assert "llm.complete (language model, prompt 1): the job is dead, expected succeeded" in wrong.stderr


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
