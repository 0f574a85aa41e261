"""The wheel, installed beside a project whose own packages are named `service` and `jobs`, as many projects' are."""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from support.lines import Lines

ROOT = Path(__file__).parents[2]

PROJECT = {
    "service/__init__.py": "",
    "service/orders.py": "def find(number: int) -> str:\n    return f'order {number}'\n",
    "jobs/__init__.py": """
import os

import offload.arq  # noqa: F401 - the arq CLI then runs Offload's engine
from arq.connections import RedisSettings
from jobs.emails import confirm
from offload.store.jobs.codec import json_deserializer, json_serializer


class WorkerSettings:
    functions = [confirm]
    redis_settings = RedisSettings.from_dsn(os.environ.get("OFFLOAD_REDIS_URL", "redis://127.0.0.1"))
    job_serializer, job_deserializer = json_serializer, json_deserializer
""",
    "jobs/emails.py": """
from offload import JobContext, job
from service.orders import find


@job
async def confirm(ctx: JobContext, number: int) -> str:
    return f"confirmed {find(number)}"
""",
    "tests/test_emails.py": """
from unittest.mock import Mock

from jobs.emails import confirm
from offload import JobContext


def test_confirm():
    import asyncio

    assert asyncio.run(confirm(Mock(spec=JobContext), number=7)) == "confirmed order 7"
""",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this tree."""
    directory = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, ROOT], check=True, timeout=55
    )
    (file,) = directory.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def project(wheel, tmp_path_factory):
    """A project of somebody's, and an environment that has the wheel and what it depends on, and nothing else."""
    directory, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("environment")
    for name, text in PROJECT.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text.lstrip(), encoding="utf-8")
    venv.create(home, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", home / "bin/python"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True, timeout=55)
    (packages,) = home.glob("lib/python*/site-packages")
    ours = next(entry for entry in sys.path if entry.endswith("site-packages"))
    (packages / "dependencies.pth").write_text(ours)  # a line of `.pth` brings packages, and no `.pth` of theirs
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OFFLOAD_", "PYTHON"))}

    def start(*words: object, **settings: str) -> subprocess.Popen[str]:
        command = [str(home / "bin" / str(words[0])), *map(str, words[1:])]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=directory, env={**environment, **settings}, **pipes)

    def run(*words: object, **settings: str) -> str:
        process = start(*words, **settings)
        said = process.communicate(timeout=50)[0]
        assert process.returncode == 0, said
        return said

    return SimpleNamespace(directory=directory, start=start, run=run)


def test_the_wheel_owns_one_name(wheel):
    """At top level it has `offload` and its metadata: nothing that a project's own packages could collide with."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert {name.partition("/")[0] for name in names} == {"offload", "offload-0.1.0.dist-info"}
    assert "offload/py.typed" in names
    assert any(name.endswith(".lua") for name in names)


def test_nothing_but_the_wheel_is_installed(project):
    """The environment has Offload from the wheel, not from the tree."""
    where = project.run("python", "-c", "import offload; print(offload.__file__)")

    assert "site-packages/offload/__init__.py" in where
    assert str(ROOT) not in where


@pytest.mark.parametrize("command", [["offload"], ["python", "-m", "offload"], ["python", "-P", "-m", "offload"]])
def test_the_projects_own_jobs_are_loaded(project, command):
    """`jobs` in the working directory, which uses the project's own `service`, however the CLI is started."""
    listed = json.loads(project.run(*command, "functions", "--json"))

    assert [one["name"] for one in listed["items"]] == ["emails.confirm", "webhook.callback"]


def test_offload_up_serves_them(project):
    """`offload up` in the project's directory: its function is an endpoint, and its job runs."""
    process = project.start("offload", "up", "--port", "0")
    with closing(Lines(process)) as lines:
        url = lines.until(r"API +(http://\S+)/v1")[1]
        lines.until("Stop +Ctrl-C")
        answer = httpx.post(f"{url}/v1/functions/emails.confirm/jobs?wait=20", json={"number": 1}, timeout=30)
        job = httpx.get(f"{url}{answer.headers['Location']}?wait=20", timeout=30).json()

    assert answer.status_code in (200, 202), answer.text
    assert job["result"] == "confirmed order 1", job


def test_offload_worker_runs_them(project, redis, redis_server):
    """`offload enqueue` and `offload worker` on a Redis at an address."""
    settings = {"OFFLOAD_REDIS_URL": redis_server.url}
    job_id = project.run("offload", "enqueue", "emails.confirm", "number=2", **settings).strip()
    project.run("offload", "worker", "--burst", **settings)

    assert json.loads(project.run("offload", "jobs", "wait", job_id, **settings)) == "confirmed order 2"


def test_the_arq_cli_runs_them(project, redis, redis_server):
    """`arq jobs.WorkerSettings`, with the project's own WorkerSettings, on our engine."""
    settings = {"OFFLOAD_REDIS_URL": redis_server.url}
    job_id = project.run("offload", "enqueue", "emails.confirm", "number=3", **settings).strip()
    said = project.run("python", "-P", "-m", "arq", "jobs.WorkerSettings", "--burst", **settings)

    assert json.loads(project.run("offload", "jobs", "wait", job_id, **settings)) == "confirmed order 3", said


def test_its_own_tests_run(project):
    """The project's tests import its own `jobs` and `service`."""
    said = project.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")

    assert re.search(r"^1 passed", said, re.MULTILINE)
