"""A project's own packages in the working directory, with names that modules of ours have."""

import os
import signal

import pytest

from offload.domain.states import Status

NAMES = ("service", "worker", "jobs", "store", "domain", "guardian", "settings", "loopwatch")
SETTINGS = """
import offload.arq
from offload import logs
from offload.loader import load
from offload.settings import get_settings
from offload.worker.options import arq_arguments
logs.configure("INFO", "json")


class WorkerSettings:
    vars().update(arq_arguments(get_settings(), load(["e2e_app"])))
"""


@pytest.fixture
def own_packages(project):
    """Packages that end whatever process imports them."""
    for name in NAMES:
        (project / name).mkdir()
        (project / name / "__init__.py").write_text(f"raise SystemExit('{name} of the project was imported')\n")


@pytest.mark.usefixtures("own_packages")
async def test_supervisor_and_worker_import_nothing_of_the_working_directory_but_the_jobs(b, offload):
    """The supervisor, its worker and the one that follows a killed worker start by name, beside any packages."""
    first = await b.enqueue("e.kills")
    worker = offload()
    await worker.until("worker_died")
    record = await b.run("e.ok")
    died = await b.ended(first)
    worker.kill(signal.SIGTERM)

    assert await worker.ended() == 0
    assert (record.status, died.status, died.attempt) == (Status.SUCCEEDED, Status.DEAD, 2)


@pytest.mark.usefixtures("own_packages")
async def test_a_guardian_under_the_arq_cli_imports_nothing_of_the_working_directory(b, arq, project):
    """It starts, and another one follows when it is killed."""
    (project / "e2e_settings.py").write_text(SETTINGS)
    worker = arq(of="e2e_settings.WorkerSettings")
    first = await worker.until("guardian_started")
    os.kill(first["guardian"], signal.SIGKILL)
    second = await worker.until("guardian_started", 2)
    record = await b.run("e.ok")

    assert first["guardian"] != second["guardian"]
    assert record.status is Status.SUCCEEDED
