"""A Redis server at an address of its own, which a test can stop and start again."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from offload.store.embedded.server import find_server


class Server:
    """A server that appends to disk; it keeps its address and its data over a restart."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.socket = directory / "s"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; return when it answers."""
        options = ["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        command = [str(find_server()), *options, "--unixsocket", str(self.socket), "--dir", str(self._directory)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 15
        with redis.Redis(unix_socket_path=str(self.socket)) as asking:
            while True:
                with contextlib.suppress(redis.ConnectionError, redis.BusyLoadingError):
                    if asking.ping():
                        return
                assert time.monotonic() < ends, "the server did not start"
                time.sleep(0.01)

    def kill(self) -> None:
        """End it now, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(15)
            self._process = None
            self.socket.unlink(missing_ok=True)


@contextlib.contextmanager
def restartable() -> Iterator[Server]:
    """Run a server of one's own."""
    directory = Path(tempfile.mkdtemp(prefix="offload-", dir="/tmp"))
    server = Server(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)
