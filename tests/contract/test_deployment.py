"""What stands next to the code: compose, image, Makefile. What they name must exist."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from offload import settings

ROOT = Path(__file__).parents[2]
SETTINGS = {settings.variable_of(name) for name in settings.Settings.model_fields}


@pytest.fixture(scope="module")
def compose():
    """The parsed compose.yaml."""
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_compose_runs_redis_api_and_worker(compose):
    """compose.yaml has the three services, each with a health check, and Redis appends to disk."""
    services = compose["services"]

    assert set(services) == {"redis", "api", "worker"}
    assert all("healthcheck" in service for service in services.values())
    assert "--appendonly yes" in " ".join(services["redis"]["command"])


def test_api_and_worker_share_their_artifacts(compose):
    """The API can serve the files that a worker made: both mount one volume where the settings say."""
    mounts = {name: compose["services"][name]["volumes"] for name in ("api", "worker")}

    assert mounts["api"] == mounts["worker"] == ["artifacts:/artifacts"]
    assert all(
        compose["services"][name]["environment"]["OFFLOAD_ARTIFACTS_URL"] == "file:///artifacts" for name in mounts
    )


def test_a_stopping_worker_has_time_to_put_its_jobs_back(compose):
    """Compose waits longer than the worker's own grace before it kills."""
    worker = compose["services"]["worker"]

    assert int(worker["stop_grace_period"].removesuffix("s")) > int(worker["environment"]["OFFLOAD_SHUTDOWN_GRACE"])


@pytest.mark.parametrize("name", ["api", "worker"])
def test_compose_runs_real_commands(compose, name):
    """Every `offload` command of compose.yaml is one that the program has."""
    program, *command = compose["services"][name]["command"]
    done = subprocess.run(
        [sys.executable, "-m", "offload", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert program == "offload"
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", ["compose.yaml", "Dockerfile", "Makefile"])
def test_only_real_settings_are_named(file):
    """A file that names an OFFLOAD_ variable names one that is read."""
    named = set(re.findall(r"\bOFFLOAD_[A-Z_]+", (ROOT / file).read_text()))

    assert named <= SETTINGS


def test_the_image_is_not_root():
    """The image runs as a user of its own, and is built in stages."""
    text = (ROOT / "Dockerfile").read_text()

    assert re.search(r"^USER offload$", text, re.MULTILINE)
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2


def test_every_make_target_is_in_make_help():
    """`make` lists every target that a person may type, each with what it does."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = dict(re.findall(r"^  make (\S+) +(.+)$", said, re.MULTILINE))

    assert sorted(targets) == sorted(phony) == sorted(listed)
    assert {"demo", "test", "up", "check", "bench"} <= set(listed)


def test_an_old_python_is_named_as_the_reason(tmp_path):
    """With a Python that is too old, make says so in one line and what to do, and makes nothing."""
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\ntest "$1" = --version && { echo Python 3.9.1; exit; }\nexit 1\n')
    old.chmod(0o700)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    done = subprocess.run(["make", "test", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert f"Offload needs Python 3.11 or newer, and '{old}' is Python 3.9.1." in done.stderr
    assert "make PYTHON=/path/to/python3.11 test" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_constraints_are_names_and_versions_only():
    """constraints.txt pins every dependency exactly, with no address and no hash, so that any index will do."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [dep for extra in project["optional-dependencies"].values() for dep in extra]
    names = {re.match(r"[A-Za-z0-9._-]+", dep)[0].lower().replace("_", "-") for dep in wanted} - {"offload"}

    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)
    assert names <= {pin.split("==")[0].lower().replace("_", "-") for pin in pins}
