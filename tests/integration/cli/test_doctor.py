"""`offload doctor --code` as it is called: which files it looks at, what it prints, how it exits."""

import importlib.util
import shutil
from pathlib import Path

import jobs
import pytest

BAD = """import time

import requests

from offload import JobContext, job


@job
async def fetch(ctx: JobContext, url: str) -> int:
    await ctx.to_thread(print, url)
    time.sleep(1)
    return requests.get(url).status_code
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A package of job modules in the working directory, named by OFFLOAD_JOBS."""

    def made(**sources):
        (tmp_path / "doctored").mkdir()
        (tmp_path / "doctored" / "__init__.py").write_text("")
        for name, source in sources.items():
            (tmp_path / "doctored" / f"{name}.py").write_text(source)
        monkeypatch.setenv("OFFLOAD_JOBS", "doctored")
        monkeypatch.syspath_prepend(tmp_path)

    return made


def test_the_shipped_jobs_are_clean(offload):
    """Ours are held to what we tell others."""
    said = offload("doctor", "--code", str(Path(jobs.__file__).parent))

    assert (said.code, said.err) == (0, "")
    assert said.out.endswith(" files: no problems found\n")


def test_findings_are_told_with_place_and_advice(offload, modules):
    """Ruff's and ours, of the modules that OFFLOAD_JOBS names; the exit code says that there are some."""
    modules(bad=BAD, good="x = 1\n")
    said = offload("doctor", "--code")
    lines = said.out.splitlines()

    assert said.code == 1
    assert [line.split()[:2] for line in lines[:3]] == [
        ["doctored/bad.py:9:1:", "OFF105"],
        ["doctored/bad.py:11:5:", "ASYNC251"],
        ["doctored/bad.py:12:12:", "ASYNC210"],
    ]
    assert "use `await asyncio.sleep(…)`" in lines[1]
    assert "use httpx.AsyncClient, or ctx.http" in lines[2]
    assert lines[3:] == ["3 files: 3 problems found", "job modules: doctored (OFFLOAD_JOBS)"]


def test_findings_are_json_for_programs(offload, modules):
    """With the same exit code."""
    modules(bad=BAD)
    said = offload("doctor", "--code", "--json")

    assert said.code == 1
    assert [(one["file"], one["line"], one["code"]) for one in said.json["items"]] == [
        ("doctored/bad.py", 9, "OFF105"),
        ("doctored/bad.py", 11, "ASYNC251"),
        ("doctored/bad.py", 12, "ASYNC210"),
    ]


def test_nothing_is_imported(offload, modules):
    """A module that would fail, or do something, is read all the same."""
    modules(fails="raise SystemExit(9)\n", broken="def f(:\n")
    said = offload("doctor", "--code", "--json")

    assert ("doctored/broken.py", "OFF001") in [(one["file"], one["code"]) for one in said.json["items"]]
    assert said.code == 1


def test_without_anything_to_look_at_it_says_what_there_is(offload, monkeypatch):
    """And a path that is not there is a wrong call, a module a wrong setting."""
    bare, path = offload("doctor"), offload("doctor", "--code", "nowhere")
    monkeypatch.setenv("OFFLOAD_JOBS", "no_such_module")
    module = offload("doctor", "--code")

    assert (bare.code, path.code, module.code) == (2, 2, 3)
    assert "`offload doctor --code` checks the code" in bare.err
    assert "no_such_module" in module.err


def test_it_says_how_to_get_what_it_needs(offload, modules, monkeypatch):
    """Ruff is an extra."""
    modules(bad=BAD)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ruff" else real(name))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    said = offload("doctor", "--code")

    assert said.code == 3
    assert "pip install 'offload[doctor]'" in said.err
