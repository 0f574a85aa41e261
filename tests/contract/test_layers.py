"""Who may know whom: the import rules of the architecture hold, and a wrong import is seen."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A module of each room, and an import that the rules forbid to it.
WRONG = {
    "domain imports nothing of ours": ("service/offload/domain/wrong.py", "import offload.logs"),
    "store imports domain": ("service/offload/store/wrong.py", "import offload.settings"),
    "client and inspector import store and domain, and not each other": (
        "service/offload/client.py",
        "import offload.worker",
    ),
    "loopwatch imports domain": ("service/offload/loopwatch/wrong.py", "import offload.store.keys"),
    "worker imports client, inspector, store, loopwatch and domain": (
        "service/offload/worker/wrong.py",
        "import offload.settings",
    ),
    "operations imports client, store and domain": ("service/offload/operations.py", "import offload.inspector"),
    "api imports client, inspector, operations and domain": (
        "service/offload/api/wrong.py",
        "import offload.store.keys",
    ),
    "sdk imports nothing of ours, and of others httpx alone": (
        "service/offload/sdk/wrong.py",
        "import offload.domain.clock",
    ),
    "offload never imports jobs: it loads what OFFLOAD_JOBS names": ("service/offload/wrong.py", "import jobs"),
    "the front door (`from offload import job`) is for users: no room comes in by it": (
        "service/offload/worker/wrong.py",
        "from offload import job",
    ),
    "only store imports redis": ("service/offload/worker/wrong.py", "import redis.asyncio"),
    "only store, worker and offload.arq import arq": ("service/offload/client.py", "from arq.jobs import Job"),
    "only app and api import fastapi": ("service/offload/worker/wrong.py", "from fastapi import FastAPI"),
}


def lint_imports(directory):
    """Run import-linter on the tree in `directory`; return its exit code and what it said, on long lines."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "PYTHONPATH": "service"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def broken_tree(tmp_path_factory):
    """What import-linter says of a copy of the tree that has every wrong import."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in ("service", "jobs"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for module, line in WRONG.values():
        with (copy / module).open("a") as file:
            file.write(f"\n{line}\n")
    return lint_imports(copy)


def test_the_layers_hold():
    """Every import in `service` and `jobs` keeps to the rules."""
    code, said = lint_imports(ROOT)

    assert code == 0, said


@pytest.mark.parametrize("contract", WRONG)
def test_a_wrong_import_breaks_its_contract(broken_tree, contract):
    """An import that the rules forbid makes import-linter fail and name the rule."""
    code, said = broken_tree

    assert code == 1, said
    assert f"{contract} BROKEN" in said


def test_every_contract_is_tested(broken_tree):
    """No rule stands in pyproject.toml without a wrong import that breaks it."""
    _, said = broken_tree

    assert " KEPT" not in said, said
