"""How commands find the `offload up` of another shell."""

import contextlib
from pathlib import Path

import pytest

from offload.cli import published_address, session
from offload.cli.published_address import RunningUp
from offload.domain.errors import Unavailable
from offload.settings import Settings

SOCKET = "unix:///run/offload/redis.sock"


def running_up(redis_url=SOCKET, jobs=("acme.jobs",), directory=None):
    """An `up` in the working directory."""
    return RunningUp(redis_url, jobs, directory or str(Path.cwd()), "http://127.0.0.1:8000", 1)


def test_an_up_is_found_while_it_runs(tmp_path):
    """Another command finds what `up` has published, and nothing once `up` has stopped."""
    with published_address.published(tmp_path / "data", running_up()):
        during = published_address.find(tmp_path / "data")

    assert during == running_up()
    assert published_address.find(tmp_path / "data") is None
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"redis_url": null}', "unix:///old"])
def test_a_file_that_nobody_locks_is_passed_over(tmp_path, content):
    """A killed `up` leaves its file behind, without its lock."""
    (tmp_path / published_address.NAME).write_text(content)

    assert published_address.find(tmp_path) is None


def test_the_file_of_a_later_up_is_left_alone(tmp_path):
    """An `up` that stops takes away its own file, not that of a later one."""
    with contextlib.ExitStack() as later:
        with published_address.published(tmp_path, running_up()):
            later.enter_context(published_address.published(tmp_path, running_up(jobs=("later",))))

        assert published_address.find(tmp_path) == running_up(jobs=("later",))


@pytest.mark.usefixtures("_no_settings")
def test_a_command_joins_the_up_on_its_directory(tmp_path):
    """Without OFFLOAD_REDIS_URL a command uses the embedded Redis that runs; with it, that and nothing else."""
    with published_address.published(tmp_path, running_up()):
        joined = session.with_redis(Settings(data_dir=tmp_path))
        elsewhere = session.with_redis(Settings(data_dir=tmp_path, redis_url="redis://elsewhere:6379/0"))
    alone = session.with_redis(Settings(data_dir=tmp_path))

    assert joined.redis_url == SOCKET
    assert elsewhere.redis_url == "redis://elsewhere:6379/0"
    assert alone.redis_url == "redis://127.0.0.1:6379/0"


@pytest.mark.usefixtures("_no_settings")
@pytest.mark.parametrize("is_up", [False, True])
def test_embedded_without_an_embedded_redis_is_refused(tmp_path, is_up):
    """`embedded` asks for a Redis that only `up` starts; where none runs the command says so."""
    running = published_address.published(tmp_path, running_up(redis_url=None)) if is_up else contextlib.nullcontext()
    with running, pytest.raises(Unavailable, match="but no `offload up` runs on"):
        session.with_redis(Settings(data_dir=tmp_path, redis_url="embedded"))


@pytest.mark.usefixtures("_no_settings")
def test_a_command_loads_the_modules_of_the_running_up(tmp_path):
    """Where OFFLOAD_JOBS is unset; with it, that and nothing else. The source is named."""
    with published_address.published(tmp_path, running_up(jobs=("acme.jobs", "acme.mail"))):
        joined = session.job_modules(Settings(data_dir=tmp_path))
        named = session.job_modules(Settings(data_dir=tmp_path, jobs=["mine"]))
        worker = session.with_jobs(Settings(data_dir=tmp_path))
    alone = session.job_modules(Settings(data_dir=tmp_path))

    assert str(joined) == "job modules: acme.jobs, acme.mail (loaded by the running `offload up`)"
    assert worker.jobs == ["acme.jobs", "acme.mail"]
    assert str(named) == "job modules: mine (OFFLOAD_JOBS)"
    assert str(alone).endswith(" (default)")
    assert session.with_jobs(Settings(data_dir=tmp_path)).jobs == []


@pytest.mark.usefixtures("_no_settings")
def test_the_modules_of_another_directory_are_not_loaded(tmp_path):
    """The names of an `up` that was started elsewhere may mean other modules here."""
    with published_address.published(tmp_path, running_up(directory="/elsewhere")):
        assert session.with_jobs(Settings(data_dir=tmp_path)).jobs == []


@pytest.fixture
def _no_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("OFFLOAD_REDIS_URL", raising=False)
    monkeypatch.delenv("OFFLOAD_JOBS", raising=False)
    monkeypatch.chdir(tmp_path)
