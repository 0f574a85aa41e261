"""How job modules are found and imported."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

from offload.domain.errors import JobsNotLoaded
from offload.loader import find_module, job_modules, load


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write modules into a directory that is the working directory; the `jobs` of this clone is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not (Path(entry) / "jobs").exists()])
    for name in [name for name in sys.modules if name.partition(".")[0] == "jobs"]:
        monkeypatch.delitem(sys.modules, name)
    before = set(sys.modules)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return SimpleNamespace(path=tmp_path)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


JOB = "from offload import job\n@job\ndef f(ctx): ...\n"


def named(catalogue):
    """The functions that were asked for: the delivery of callbacks is always there as well."""
    return set(catalogue.functions) - {"webhook.callback"}


def test_a_module_of_the_working_directory_is_loaded(project):
    """As under the arq CLI."""
    project(cat_one=JOB)

    assert named(load(["cat_one"])) == {"cat_one.f"}


def test_all_submodules_of_a_package_are_loaded(project):
    """At any depth; names that start with an underscore are private."""
    (project().path / "cat_pkg" / "sub").mkdir(parents=True)
    (project().path / "cat_pkg" / "__init__.py").write_text("")
    (project().path / "cat_pkg" / "sub" / "__init__.py").write_text(JOB)
    (project().path / "cat_pkg" / "sub" / "deep.py").write_text(JOB)
    (project().path / "cat_pkg" / "_private").mkdir()
    (project().path / "cat_pkg" / "_private" / "__init__.py").write_text("raise RuntimeError")

    assert named(load(["cat_pkg"])) == {"sub.f", "deep.f"}


def test_a_missing_module_is_named(project):
    """The error says where it was looked for."""
    with pytest.raises(JobsNotLoaded, match=r"no module named 'cat_missing'") as refused:
        load(["cat_missing"])

    assert isinstance(refused.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import cat_nowhere\n", ModuleNotFoundError),
        ("def f(:\n", SyntaxError),
        ("raise RuntimeError('no database')\n", RuntimeError),
        ("raise SystemExit(7)\n", SystemExit),
    ],
)
def test_a_broken_module_carries_the_users_own_exception(project, text, cause):
    """Whatever a module does while it is imported, the error names it and keeps its cause."""
    project(cat_broken=text)

    with pytest.raises(JobsNotLoaded, match="'cat_broken' does not import") as refused:
        load(["cat_broken"])

    assert isinstance(refused.value.__cause__, cause)


def test_a_broken_submodule_is_named(project):
    """The package imports; the part that does not is what is said."""
    (project().path / "cat_half").mkdir()
    (project().path / "cat_half" / "__init__.py").write_text("")
    (project().path / "cat_half" / "bad.py").write_text("1/0\n")

    with pytest.raises(JobsNotLoaded, match=r"'cat_half\.bad' does not import: ZeroDivisionError"):
        load(["cat_half"])


def test_a_file_jobs_is_the_default(project):
    """Without OFFLOAD_JOBS, a `jobs.py` in the working directory."""
    project(jobs=JOB)

    assert named(load()) == {"jobs.f"}


def test_a_directory_jobs_is_the_default(project):
    """Also without an `__init__.py`."""
    project(jobs__emails=JOB)

    assert job_modules() == ["jobs"]
    assert named(load()) == {"emails.f"}


def test_a_directory_without_modules_is_not(project):
    """A directory `jobs` of something else does not hide the shipped functions."""
    (project().path / "jobs").mkdir()

    assert job_modules() == ["offload.jobs"]


def test_the_shipped_functions_are_the_default_without_jobs(project):
    """In a directory without job modules."""
    project()

    assert "mail.send" in load().functions


def test_shipped_functions_are_loaded_only_where_named(project):
    """A project has its own functions, those it names, and the delivery of callbacks."""
    project(jobs=JOB)

    assert set(load().functions) == {"jobs.f", "webhook.callback"}
    assert named(load(["jobs", "offload.jobs.digest"])) == {"jobs.f", "digest.pbkdf2"}


@pytest.fixture
def installed(project, tmp_path, monkeypatch):
    """An installed package `jobs` of somebody else, later on the path than the working directory."""
    package = tmp_path / "site-packages" / "jobs"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(JOB.replace("f(", "installed("))
    monkeypatch.setattr(sys, "path", [*sys.path, str(package.parent)])
    return package


def test_the_working_directory_wins_over_installed_packages(installed, project):
    """A `jobs.py` of one's own is the one that counts."""
    project(jobs=JOB)

    assert named(load()) == {"jobs.f"}


def test_a_directory_that_python_would_pass_over_is_an_error(installed, project):
    """Python prefers an installed package to a directory without `__init__.py`: the error names both."""
    own = project(jobs__emails=JOB).path / "jobs"

    with pytest.raises(JobsNotLoaded) as refused:
        load()

    assert str(refused.value) == (
        f"there are two packages named 'jobs': {own}, which has no __init__.py, so Python takes "
        f"{installed / '__init__.py'}; create {own / '__init__.py'}"
    )


LOOKED = "(OFFLOAD_JOBS); looked in {here}, then in the packages of {python}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cat_acme/jobs.py",
            "'cat_acme/jobs.py' is not the name of a module (OFFLOAD_JOBS); did you mean 'cat_acme.jobs'?",
        ),
        (
            "./cat_acme/jobs",
            "'./cat_acme/jobs' is not the name of a module (OFFLOAD_JOBS); did you mean 'cat_acme.jobs'?",
        ),
        (".jobs", "'.jobs' is not the name of a module (OFFLOAD_JOBS)"),
        ("cat_flat.py", "no module named 'cat_flat.py' (OFFLOAD_JOBS); did you mean 'cat_flat'?"),
        (
            "cat_flat.sub",
            "no module named 'cat_flat.sub' (OFFLOAD_JOBS): 'cat_flat' ({here}/cat_flat.py) is a module, not a package",
        ),
        (
            "cat_acme.jobz",
            "no module named 'cat_acme.jobz' (OFFLOAD_JOBS); looked in {here}/cat_acme; did you mean 'cat_acme.jobs'?",
        ),
        (
            "cat_acme.qqq",
            "no module named 'cat_acme.qqq' (OFFLOAD_JOBS); looked in {here}/cat_acme; modules there: jobs",
        ),
        ("cat_flt", f"no module named 'cat_flt' {LOOKED}; did you mean 'cat_flat'?"),
        ("qqqqqq.jobs", f"no module named 'qqqqqq.jobs' {LOOKED}; modules there: cat_acme, cat_flat, offload.jobs"),
    ],
)
@pytest.mark.parametrize(
    "find", [lambda name: load([name]), lambda name: find_module(*job_modules([name]))], ids=["load", "find"]
)
def test_a_name_that_is_not_found_has_a_suggestion(project, name, message, find):
    """The error says where the module was looked for, and what would be right: when loading and for the doctor."""
    here = project(cat_flat=JOB, cat_acme__jobs=JOB).path

    with pytest.raises(JobsNotLoaded) as refused:
        find(name)

    assert str(refused.value) == message.format(here=here, python=sys.executable)


@pytest.mark.parametrize("pythonpath", [None, "."])
def test_the_ways_to_start_the_command_agree(tmp_path, pythonpath):
    """The console script and `python -m offload`, with and without PYTHONPATH, find the same job modules."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "emails.py").write_text(JOB)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OFFLOAD_", "PYTHON"))}
    env |= {"PYTHONPATH": pythonpath} if pythonpath else {}
    script = Path(sysconfig.get_path("scripts")) / "offload"

    def functions(*command):
        done = subprocess.run(
            [*command, "functions", "--json"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        return {one["name"] for one in json.loads(done.stdout)["items"]}

    assert functions(script) == functions(sys.executable, "-m", "offload") == {"emails.f", "webhook.callback"}
