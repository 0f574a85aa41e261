"""Ports, meeting points and watched directories."""

import socket
from contextlib import closing

import pytest

from offload.cli import listening, published_address, session
from offload.cli.local.reload import watched
from offload.domain.errors import Unavailable
from offload.settings import Settings


def test_a_taken_port_is_one_line():
    """A port on which somebody listens is refused with what to do about it."""
    with closing(listening.listen(Settings(port=0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} on 127.0.0.1 is taken: .*--port, OFFLOAD_PORT"):
            listening.listen(Settings(port=port))


def test_a_host_that_is_not_ours_is_one_line():
    """An address of another machine, or what is no name of one, is refused with the setting's name."""
    with pytest.raises(Unavailable, match=r"cannot listen on 192\.0\.2\.1"):
        listening.listen(Settings(host="192.0.2.1"))
    with pytest.raises(Unavailable, match="OFFLOAD_HOST"):
        listening.listen(Settings(host="two..dots"))


def test_the_url_is_one_that_a_browser_takes():
    """The address that is shown is one to open here, also when it listens on all of them."""
    with closing(listening.listen(Settings(host="0.0.0.0", port=0))) as everywhere:
        port = everywhere.getsockname()[1]

        assert listening.url_of(everywhere) == f"http://127.0.0.1:{port}"


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path):
    """`--fd` takes a socket and nothing else."""
    with (tmp_path / "file").open("w") as file, pytest.raises(Unavailable, match="is no socket"):
        listening.inherited(file.fileno())


@pytest.fixture
def server(tmp_path):
    """A unix socket on which somebody listens, as an embedded Redis would."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        yield f"unix://{tmp_path}/s"


def test_an_embedded_redis_is_found_while_it_runs(tmp_path, server):
    """Another command finds the address that `up` has published, and not any more when `up` has stopped."""
    with published_address.published(tmp_path, server):
        during = published_address.find(tmp_path)

    assert during == server
    assert published_address.find(tmp_path) is None
    assert not (tmp_path / published_address.NAME).exists()


def test_what_a_killed_up_left_behind_is_seen_through(tmp_path):
    """An address on which nobody listens is not taken."""
    (tmp_path / published_address.NAME).write_text(f"unix://{tmp_path}/gone\n")

    assert published_address.find(tmp_path) is None


def test_the_address_of_a_later_up_is_left_alone(tmp_path, server):
    """What is taken away is one's own address, not that of whoever came after."""
    with published_address.published(tmp_path, "unix:///first"):
        (tmp_path / published_address.NAME).write_text(server)

    assert published_address.find(tmp_path) == server


@pytest.mark.usefixtures("_no_settings")
def test_a_command_joins_the_up_on_its_directory(tmp_path, server):
    """Without OFFLOAD_REDIS_URL a command takes the embedded Redis that runs; with it, that and nothing else."""
    with published_address.published(tmp_path, server):
        joined = session.with_redis(Settings(data_dir=tmp_path))
        told = session.with_redis(Settings(data_dir=tmp_path, redis_url="redis://elsewhere:6379/0"))
    alone = session.with_redis(Settings(data_dir=tmp_path))

    assert joined.redis_url == server
    assert told.redis_url == "redis://elsewhere:6379/0"
    assert alone.redis_url == "redis://127.0.0.1:6379/0"


@pytest.mark.usefixtures("_no_settings")
def test_embedded_without_an_up_is_refused(tmp_path):
    """`embedded` asks for a Redis that only `up` starts; without one the command says so."""
    with pytest.raises(Unavailable, match="no `offload up` runs on"):
        session.with_redis(Settings(data_dir=tmp_path, redis_url="embedded"))


@pytest.fixture
def _no_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("OFFLOAD_REDIS_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_directories_of_job_modules_are_watched(tmp_path, monkeypatch):
    """A package is watched from its root, a module in its directory, and neither is imported for that."""
    (tmp_path / "shop_jobs" / "mail").mkdir(parents=True)
    (tmp_path / "shop_jobs" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "single.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert watched(["shop_jobs.mail", "single"]) == [tmp_path, tmp_path / "shop_jobs"]
    assert watched(["not_there_yet"]) == [tmp_path]
