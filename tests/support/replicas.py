"""A master, a replica, and a sentinel that watches them, each with a password, as real processes on free ports."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from offload.store.embedded.server import find_server

PASSWORD, SENTINEL_PASSWORD = "of-redis", "of-sentinel"
_SENTINEL = f"""
port {{port}}
dir {{directory}}
requirepass {SENTINEL_PASSWORD}
sentinel monitor main 127.0.0.1 {{master}} 1
sentinel auth-pass main {PASSWORD}
sentinel down-after-milliseconds main 300
sentinel failover-timeout main 1000
"""


class Node:
    """One process of redis-server, and a connection to it."""

    def __init__(self, directory: Path, port: int, password: str, *arguments: str) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [str(find_server()), *arguments, "--port", str(port), "--dir", str(directory)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.redis: Any = redis.Redis(port=port, password=password, socket_timeout=5)
        until(self.redis.ping)

    def stop(self) -> None:
        """Have it stand still; it keeps its connections."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does."""
        self.redis.close()
        self.process.kill()
        self.process.wait(15)


class Replicated:
    """A master at `nodes[0]`, a replica of it at `nodes[1]`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes: list[Node] = []
        self.sentinel: Node | None = None
        master = free_port()
        self._add(master)
        self._add(free_port(), "--replicaof", "127.0.0.1", str(master))
        until(lambda: self.nodes[0].redis.info("replication").get("slave0", {}).get("state") == "online")

    @property
    def url(self) -> str:
        """The address of the first master."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.nodes[0].port}"

    @property
    def sentinel_url(self) -> str:
        """The address of whoever is the master."""
        assert self.sentinel is not None
        return f"redis+sentinel://:{PASSWORD}@127.0.0.1:{self.sentinel.port}/main?sentinel_password={SENTINEL_PASSWORD}"

    def watch(self) -> None:
        """Start the sentinel; return when it knows both."""
        port = free_port()
        config = self.directory / "sentinel.conf"
        config.write_text(_SENTINEL.format(port=port, directory=self.directory, master=self.nodes[0].port))
        self.sentinel = Node(self.directory, port, SENTINEL_PASSWORD, str(config), "--sentinel")
        self.sentinel.redis.execute_command("SENTINEL", "DEBUG", "PING-PERIOD", "300", "INFO-PERIOD", "100")
        until(self._knows_the_replica)

    def _knows_the_replica(self) -> bool:
        assert self.sentinel is not None
        found = self.sentinel.redis.sentinel_slaves("main")
        return bool(found) and (found[0]["flags"], found[0]["master-link-status"]) == ("slave", "ok")

    def synced(self) -> None:
        """Return when the replica has all that the master has."""
        master, replica = (node.redis for node in self.nodes)
        until(
            lambda: master.info("replication")["master_repl_offset"] == replica.info("replication")["slave_repl_offset"]
        )

    def failed_over(self) -> None:
        """Return when the replica is the master."""
        until(lambda: self.nodes[1].redis.info("replication")["role"] == "master")

    def close(self) -> None:
        """End all."""
        for node in (*self.nodes, *([self.sentinel] if self.sentinel else [])):
            node.kill()

    def _add(self, port: int, *arguments: str) -> None:
        directory = self.directory / str(len(self.nodes))
        directory.mkdir()
        common = ["--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--masterauth", PASSWORD]
        self.nodes.append(Node(directory, port, PASSWORD, *common, "--requirepass", PASSWORD, *arguments))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(holds: Callable[[], Any], timeout: float = 20) -> None:
    """Return when something holds; fails the test when it does not in time."""
    ends = time.monotonic() + timeout
    while True:
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
            if holds():
                return
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.02)


@contextlib.contextmanager
def replicated(*, sentinel: bool = False) -> Iterator[Replicated]:
    """Run a master and a replica, watched by a sentinel if asked."""
    directory = Path(tempfile.mkdtemp(prefix="offload-", dir="/tmp"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        made = Replicated(directory)
        stack.callback(made.close)
        if sentinel:
            made.watch()
        yield made
