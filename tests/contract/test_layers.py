"""Who may know whom: the import rules of the architecture hold, and a wrong import is seen."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# For each contract, modules of the package and an import that the rules forbid to each.
WRONG = {
    "layers": {
        "domain/wrong.py": "import offload.store.keys",
        "store/wrong.py": "import offload.settings",
        "client.py": "import offload.inspector",
        "inspector.py": "import offload.operations",
        "loopwatch/wrong.py": "import offload.store.keys",
        "operations.py": "import offload.worker.worker",
        "worker/wrong.py": "import offload.api.state",
        "api/wrong.py": "import offload.cli.session",
        "wiring.py": "import offload.app",
    },
    "the package never imports the user's jobs: it loads what OFFLOAD_JOBS names": {"wrong.py": "import jobs"},
    "sdk is a client of the HTTP API: of ours it imports documents, of others httpx": {
        "sdk/wrong.py": "import offload.domain.clock",
    },
    "the front door (`from offload import job`) is for users: no room comes in by it": {
        "worker/wrong.py": "from offload import job",
    },
    "only store imports redis": {"worker/wrong.py": "import redis.asyncio"},
    "only store, worker and offload.arq import arq": {"client.py": "from arq.jobs import Job"},
    "only app and api import fastapi": {"worker/wrong.py": "from fastapi import FastAPI"},
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
    for lines in WRONG.values():
        for module, line in lines.items():
            with (copy / "service/offload" / module).open("a") as file:
                file.write(f"\n{line}\n")
    return lint_imports(copy)


def test_the_layers_hold():
    """Every import in `service` and `jobs` keeps to the rules."""
    code, said = lint_imports(ROOT)

    assert code == 0, said


@pytest.mark.parametrize("contract", WRONG)
def test_a_wrong_import_breaks_its_contract(broken_tree, contract):
    """Imports that the rules forbid make import-linter fail and name the rule, and each wrong layer."""
    code, said = broken_tree

    assert code == 1, said
    assert f"{contract} BROKEN" in said
    if contract == "layers":
        said = said.replace("\n", " ")
        rooms = {module.partition("/")[0].removesuffix(".py") for module in WRONG["layers"]}
        assert {room for room in rooms if f"offload.{room} is not allowed to import" in said} == rooms


def test_every_contract_is_tested(broken_tree):
    """Each rule in pyproject.toml has a wrong import that breaks it."""
    _, said = broken_tree

    assert " KEPT" not in said, said
